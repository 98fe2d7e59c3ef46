"""Makes the outputs of other programs in tests/golden/import again (root): `python -m tools.foreign_outputs [NAME...]`.

Every program that is found is run for a second or two in a network namespace of its own, whose loopback is all it
reaches; one that is missing is named and left out. PATH says which version runs: put another one in front of it.
`--as=-3.21` before the names puts a version into the files' own. What tells of the machine (its name) is written over.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

GOLDEN = Path(__file__).parent.parent / "tests" / "golden" / "import"
_INSIDE = "POLLBENCH_FOREIGN_OUTPUTS"
_LONGEST_S = 60


@dataclass(frozen=True)
class Recipe:
    """How to make one file. server: runs meanwhile; client: its output is the file, or {out} in its words is.

    stream: which of the client's outputs. of_server: the file is the server's output instead.
    """

    file: str
    client: str
    server: str = ""
    stream: str = "stdout"
    of_server: bool = False


_SOCKPERF = "sockperf sr -i 127.0.0.1 -p 11111"
_PP = "sockperf pp -i 127.0.0.1 -p 11111 -t 1"
_IPERF3 = "iperf3 -s -1 --forceflush"
_IPERF3_TEXT = "iperf3 -c 127.0.0.1 -t 1"
_NETSERVER = "netserver -D -L 127.0.0.1"
_RR = "netperf -H 127.0.0.1 -l 2 -t TCP_RR"
_HTTP = f"{sys.executable} -m http.server --bind 127.0.0.1 --directory /usr/share/common-licenses 8080"
_REDIS = "redis-server --bind 127.0.0.1 --port 6379 --save '' --appendonly no"
_FIO = "fio --name=j --ioengine=psync --filename={tmp}/x --size=4m --time_based --runtime=1 --rw=randrw --bs=4k"
_FILEIO = "sysbench fileio --file-num=1 --file-total-size=4M --file-test-mode=rndrd --time=1"
_MEMTIER = "memtier_benchmark -n 500 -c 2 -t 2"
_MEMCACHED = "memcached -l 127.0.0.1 -p 11211 -u nobody"
_POSTGRES = (
    "sh -c 'chown postgres {tmp} && cd {tmp} && exec setpriv --reuid=postgres --regid=postgres --clear-groups "
    'sh -c "initdb -D d >&2 && exec postgres -D d -h 127.0.0.1 -k {tmp}"\''
)
_PGBENCH = (
    "sh -c 'export PGHOST=127.0.0.1 PGUSER=postgres PGDATABASE=postgres; until pg_isready -q; do sleep 0.2; done; "
    "pgbench -i -q >&2 && exec pgbench "
)
_VEGETA = (
    "sh -c 'for page in BSD {}; do echo GET http://127.0.0.1:8080/$page; done | "
    "vegeta attack -rate=300 -duration=2s | vegeta report {}'"
)
_FLENT = "sh -c 'flent -l 3 -s 0.2 -H 127.0.0.1 -D {{tmp}} {} >&2 && zcat {{tmp}}/*.flent.gz'"

RECIPES = (
    Recipe("sockperf_udp.txt", _PP, _SOCKPERF),
    Recipe("sockperf_ul.txt", "sockperf ul -i 127.0.0.1 -p 11111 -t 1 --mps 500 --burst 2 --reply-every 2", _SOCKPERF),
    Recipe("sockperf_mps.log", f"{_PP} --mps 200 --msg-size 77 --full-rtt --full-log {{out}}", _SOCKPERF),
    Recipe("sockperf_giga.txt", "sockperf tp -i 127.0.0.1 -p 11111 -t 1 -m 1400 --giga-size", _SOCKPERF),
    Recipe("iperf3_client.json", "iperf3 -c 127.0.0.1 -J -t 1 -P 2", _IPERF3),
    Recipe("iperf3_reverse.json", "iperf3 -c 127.0.0.1 -J -t 1 -R", _IPERF3),
    Recipe("iperf3_bidir.json", "iperf3 -c 127.0.0.1 -J -t 1 --bidir", _IPERF3),
    Recipe("iperf3_udp_reverse.json", "iperf3 -c 127.0.0.1 -J -t 1 -R -u -b 5M", _IPERF3),
    Recipe("iperf3_server.json", "iperf3 -c 127.0.0.1 -t 1", "iperf3 -s -1 -J", of_server=True),
    Recipe("iperf3_server_reverse.json", "iperf3 -c 127.0.0.1 -t 1 -R", "iperf3 -s -1 -J", of_server=True),
    Recipe("iperf3_server_udp.json", "iperf3 -c 127.0.0.1 -t 1 -u -b 5M", "iperf3 -s -1 -J", of_server=True),
    Recipe("iperf3-text.txt", f"{_IPERF3_TEXT} -P 2 -V", _IPERF3),
    Recipe("iperf3-text_bidir.txt", f"{_IPERF3_TEXT} --bidir -P 2", _IPERF3),
    Recipe("iperf3-text_udp_reverse.txt", f"{_IPERF3_TEXT} -u -b 5M -R", _IPERF3),
    Recipe("iperf3-text_server.txt", f"{_IPERF3_TEXT} -f M", _IPERF3, of_server=True),
    Recipe("iperf3-text_server_reverse.txt", f"{_IPERF3_TEXT} -R", _IPERF3, of_server=True),
    Recipe("iperf3-text_server_udp.txt", f"{_IPERF3_TEXT} -u -b 5M -P 2", _IPERF3, of_server=True),
    Recipe("netperf_tcp_rr.txt", _RR, _NETSERVER),
    Recipe("netperf_cpu_rr.txt", f"{_RR} -c -C -v 2 -- -r 64,128 -b 3", _NETSERVER),
    Recipe("netperf_crr.txt", "netperf -H 127.0.0.1 -l 1 -t TCP_CRR", _NETSERVER),
    Recipe("netperf_plain_stream.txt", "netperf -H 127.0.0.1 -l 1 -t TCP_STREAM -v 2", _NETSERVER),
    Recipe("netperf_maerts.txt", "netperf -H 127.0.0.1 -l 1 -t TCP_MAERTS", _NETSERVER),
    Recipe("netperf_udp_stream.txt", "netperf -H 127.0.0.1 -l 1 -t UDP_STREAM -c -C", _NETSERVER),
    Recipe("netperf_human.txt", f"{_RR} -v 2 -- -O THROUGHPUT,THROUGHPUT_UNITS,MEAN_LATENCY,P99_LATENCY", _NETSERVER),
    Recipe("netperf_demo.txt", f"{_RR} -D 0.5 -- -k all", _NETSERVER),
    Recipe("netperf_csv.txt", f"{_RR} -- -o all", _NETSERVER),
    Recipe("flent.flent", _FLENT.format("tcp_upload"), _NETSERVER),
    Recipe("flent_ping.flent", _FLENT.format("ping"), _NETSERVER),
    Recipe("neper.csv", "tcp_rr -c -H 127.0.0.1 -l 2 -I 0.5 --all-samples={out} -p 50,99,99.9", "tcp_rr"),
    Recipe("neper_one.csv", "tcp_rr -c -H 127.0.0.1 -l 2 -I 1.9 --all-samples={out} -p 50,99,99.9 -F 2 -T 2", "tcp_rr"),
    Recipe("neper_stream.csv", "tcp_stream -c -H 127.0.0.1 -l 1", "tcp_stream --all-samples={out} -I 0.3"),
    Recipe("neper-stdout.txt", "tcp_rr -c -H 127.0.0.1 -l 1 -p 50,90,99,99.9", "tcp_rr"),
    Recipe("neper-stdout_crr.txt", "tcp_crr -c -H 127.0.0.1 -l 1 -p 50,90,99 -F 2", "tcp_crr"),
    Recipe("neper-stdout_server.txt", "tcp_rr -c -H 127.0.0.1 -l 1", "tcp_rr", of_server=True),
    Recipe("neper-stdout_stream.txt", "tcp_stream -c -H 127.0.0.1 -l 1", "tcp_stream", of_server=True),
    Recipe("wrk.txt", "wrk -t 1 -c 4 -d 1s --latency http://127.0.0.1:8080/BSD", _HTTP),
    Recipe("wrk_errors.txt", "wrk -t 1 -c 4 -d 1s http://127.0.0.1:8080/none", _HTTP),
    Recipe("ab.txt", "ab -n 2000 -c 4 http://127.0.0.1:8080/BSD", _HTTP),
    Recipe("ab_errors.txt", "ab -n 300 -c 4 http://127.0.0.1:8080/none", _HTTP),
    Recipe("hey.txt", "hey -n 2000 -c 4 http://127.0.0.1:8080/BSD", _HTTP),
    Recipe("wrk2.txt", "wrk2 -t 1 -c 4 -d 12s -R 200 -L -U http://127.0.0.1:8080/BSD", _HTTP),
    Recipe("redis-benchmark.csv", "redis-benchmark --csv -n 2000 -c 4 -t ping,set,get", _REDIS),
    Recipe("redis-benchmark_report.txt", "redis-benchmark -n 2000 -c 4 -d 100 -t set,get", _REDIS),
    Recipe("redis-benchmark_quiet.txt", "redis-benchmark -q -n 2000 -c 4 -t set,get", _REDIS),
    Recipe("memtier.json", f"{_MEMTIER} --hide-histogram --json-out-file={{out}}", _REDIS),
    Recipe("hdrhistogram_memtier.hgrm", f"{_MEMTIER} --hdr-file-prefix={{out}}", _REDIS),
    Recipe("cyclictest.json", "cyclictest -t 2 -D 1 -i 1000 -h 60 -q --json={out}"),
    Recipe("cyclictest_bare.json", "cyclictest -t 1 -l 500 -i 1000 -q --json={out}"),
    Recipe("ping.txt", "ping -c 40 -i 0.01 127.0.0.1"),
    Recipe("ping_quiet.txt", "ping -q -c 40 -i 0.01 -s 100 127.0.0.1"),
    Recipe("fping.txt", "fping -c 5 -p 20 127.0.0.1 127.0.0.2", stream="both"),
    Recipe("fping_all.txt", "fping -C 30 -q -p 10 127.0.0.1 127.0.0.2", stream="stderr"),
    Recipe("fping-json.json", "fping -J -c 20 -p 10 -b 100 127.0.0.1 127.0.0.2"),
    Recipe("fping-json_all.json", "fping -J -C 30 -q -p 10 127.0.0.1 127.0.0.2"),
    Recipe("fping-json_quiet.json", "fping -J -c 20 -q -p 10 127.0.0.1 192.0.2.9"),
    Recipe("irtt.json", "irtt client -i 40ms -d 1s -l 100 -Q -o - 127.0.0.1", "irtt server -b 127.0.0.1"),
    Recipe("fio.json", f"{_FIO} --output-format=json --output={{out}}"),
    Recipe("fio_lat.json", f"{_FIO} --lat_percentiles=1 --clat_percentiles=0 --output-format=json --output={{out}}"),
    Recipe("qperf.txt", "qperf 127.0.0.1 -t 1 -v tcp_lat tcp_bw udp_lat udp_bw", "qperf"),
    Recipe("fio-text.txt", _FIO),
    Recipe("fio-text_terse.txt", f"{_FIO} --minimal"),
    Recipe("cyclictest-text.txt", "cyclictest -t 2 -l 500 -i 1000 -q"),
    Recipe("cyclictest-text_histogram.txt", "cyclictest -t 2 -D 1 -i 1000 -h 400 -q"),
    Recipe("mtr-json.json", "mtr --json -c 20 -i 0.02 -n 127.0.0.1"),
    Recipe("mtr.txt", "mtr --report -c 5 -i 0.1 -n 127.0.0.1"),
    Recipe("mtr_all.txt", "mtr -w -c 5 -i 0.1 -n -o 'LSDR NBAW VG JMXI' 127.0.0.1"),
    Recipe("mtr_as.txt", "mtr --report -z -b -c 5 -i 0.1 127.0.0.1"),
    Recipe("mtr-csv.csv", "mtr --csv -c 20 -i 0.02 -n -o 'LSDR NBAW VG JMXI' 127.0.0.1"),
    Recipe("perf-bench.txt", "perf bench sched pipe -l 20000"),
    Recipe("perf-bench_syscall.txt", "perf bench syscall basic -l 100000"),
    Recipe("perf-bench_epoll.txt", "perf bench epoll wait -t 1 -r 1"),
    Recipe("sysbench.txt", "sysbench cpu --time=1 run"),
    Recipe("sysbench_fileio.txt", f"sh -c '{_FILEIO} prepare >&2 && {_FILEIO} --percentile=99 run'"),
    Recipe("pgbench.txt", _PGBENCH + "-S -c 4 -j 2 -T 1'", _POSTGRES),
    Recipe("pgbench_rate.txt", _PGBENCH + "-S -c 2 -T 2 -R 200'", _POSTGRES),
    Recipe("pgbench_connect.txt", _PGBENCH + "-S -c 2 -t 200 -r -C'", _POSTGRES),
    Recipe("h2load.txt", "h2load --h1 -n 500 -c 4 http://127.0.0.1:8080/BSD", _HTTP),
    Recipe("h2load_errors.txt", "h2load --h1 -n 100 -c 2 http://127.0.0.1:8080/none", _HTTP),
    Recipe("h2load-json.json", "h2load --h1 -n 200 -c 4 --output-file={out} http://127.0.0.1:8080/BSD", _HTTP),
    Recipe("h2load_warm.txt", "h2load --h1 -D 2 --warm-up-time 1 -c 2 -t 2 http://127.0.0.1:8080/BSD", _HTTP),
    Recipe("vegeta.txt", _VEGETA.format("GPL-2", ""), _HTTP),
    Recipe("vegeta_errors.txt", _VEGETA.format("none", ""), _HTTP),
    Recipe("vegeta-json.json", _VEGETA.format("GPL-2", "-type=json"), _HTTP),
    Recipe("vegeta-json_refused.json", _VEGETA.format("GPL-2", "-type=json")),
    Recipe("autocannon.json", "autocannon -c 4 -d 2 --json http://127.0.0.1:8080/BSD", _HTTP),
    Recipe("memtier-text.txt", _MEMTIER, _REDIS),
    Recipe("memtier-text_runs.txt", f"{_MEMTIER} -x 2 --hide-histogram --print-percentiles 50,90,99,99.9", _REDIS),
    Recipe("mutilate.txt", "mutilate -s 127.0.0.1:11211 -r 1000 -t 2 -c 2", _MEMCACHED),
    Recipe("iperf2.txt", "iperf -c 127.0.0.1 -t 1 -i 0.5 -e", "iperf -s -e"),
    Recipe("iperf2_server.txt", "iperf -c 127.0.0.1 -t 1 -u -b 5m -e", "iperf -s -u -e -i 0.5", of_server=True),
    Recipe("iperf2_udp.txt", "iperf -c 127.0.0.1 -t 1 -u -b 5m -e", "iperf -s -u -e"),
    Recipe("iperf2_bounceback.txt", "iperf -c 127.0.0.1 --bounceback -t 2 -i 1 -e", "iperf -s"),
    Recipe("iperf2_tcp.csv", "iperf -c 127.0.0.1 -t 1 -P 2 -y C", "iperf -s"),
    Recipe("iperf2_udp.csv", "iperf -c 127.0.0.1 -t 1 -u -b 5m -y C", "iperf -s -u"),
)


def main(names: list[str]) -> int:
    """Make the files of these names, or all; 1 where one could not be made."""
    if os.environ.get(_INSIDE) != "1":
        # The loopback of a namespace of our own: nothing that runs can reach the host's network.
        words = ["unshare", "--net", sys.executable, "-m", "tools.foreign_outputs", *names]
        return subprocess.run(words, env=os.environ | {_INSIDE: "1"}).returncode
    # An address beside the loopback's: without one, programs that ask for configured families resolve nothing.
    for line in (
        "link set lo up",
        "link add other type veth peer name end",
        "addr add 192.0.2.1/24 dev other",
        "link set other up",
    ):
        subprocess.run(["ip", *line.split()], check=True)
    bad = 0
    suffix = names.pop(0).removeprefix("--as=") if names[:1] and names[0].startswith("--as=") else ""
    for recipe in RECIPES:
        if names and not any(recipe.file.startswith(name) for name in names):
            continue
        programs = [line.split()[0] for line in (recipe.client, recipe.server) if line]
        missing = [program for program in programs if not shutil.which(program)]
        if missing:
            sys.stdout.write(f"{recipe.file}: {missing[0]} is not installed\n")
            continue
        bad += _make(recipe, suffix)
    return 1 if bad else 0


def _make(recipe: Recipe, suffix: str) -> bool:
    """Make one file; True where nothing came of it."""
    with tempfile.TemporaryDirectory() as tmp:
        out = Path(tmp) / "out"
        places = {"out": str(out), "tmp": tmp}
        with _serving(recipe.server.format(**places), tmp) as served:
            words = ["sh", "-c", f"exec {recipe.client.format(**places)}"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=_LONGEST_S, cwd=tmp)
        texts = {"stdout": done.stdout, "stderr": done.stderr, "both": done.stdout + done.stderr}
        text = served() if recipe.of_server else texts[recipe.stream]
        # memtier ends the name in its own way.
        for written in (out, out.with_name("out_FULL_RUN_1.hgrm")):
            text = written.read_text() if written.exists() else text
        text = text.replace(tmp, "/tmp/x")
    text = text.replace(socket.gethostname(), "host").replace(os.uname().release, "6.18.0")
    if not text.strip():
        sys.stdout.write(f"{recipe.file}: nothing was written; {done.stderr.strip()[-200:]}\n")
        return True
    path = GOLDEN / recipe.file
    path = path.with_name(f"{path.stem}{suffix}{path.suffix}")
    path.write_text(text)
    sys.stdout.write(f"{path.name}: {len(text)} characters\n")
    return False


@contextmanager
def _serving(command: str, tmp: str) -> Iterator[Callable[[], str]]:
    """A server for the length of a with; gives what returns its output, once it has ended."""
    if not command:
        yield lambda: ""
        return
    path = Path(tmp) / "server"
    with path.open("w") as file:
        process = subprocess.Popen(["sh", "-c", f"exec {command}"], stdout=file, stderr=subprocess.DEVNULL, cwd=tmp)
        try:
            time.sleep(1.0)
            yield lambda: _ended(process, path)
        finally:
            process.terminate()
            process.wait(10)


def _ended(process: subprocess.Popen[bytes], path: Path) -> str:
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait(10)
    return path.read_text()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
