"""Made-up output of other programs for import tests: their forms, numbers of our own."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

CPUS = (4, 5)


def mutilate(qps: float = 200_000.0, mean: float = 100.0) -> str:
    """mutilate's report of a run of 30 s."""
    row = [mean, 2 * mean, mean / 4, mean / 3, mean / 2, 0.9 * mean, 1.5 * mean, 2 * mean, 4 * mean]
    numbers = " ".join(f"{value:7.1f}" for value in row)
    return (
        "#type       avg     std     min     5th    10th    50th    90th    95th    99th\n"
        f"read    {numbers}\nupdate  {numbers}\n"
        "op_q        1.0     0.0     1.0     1.0     1.0     1.1     1.1     1.1     1.1\n\n"
        f"Total QPS = {qps:.1f} ({qps * 30:.0f} / 30.0s)\n\nMisses = 0 (0.0%)\nSkipped TXs = 0 (0.0%)\n\n"
        "RX 1437425829 bytes :   45.7 MB/s\nTX  289958732 bytes :    9.2 MB/s\n"
    )


def sar(idle: Sequence[float] = (70.0, 80.0), word: str = "Average:", comma: str = ".") -> str:
    """sar's report of two CPUs with one sample and the averages."""
    names = ["%usr", "%nice", "%sys", "%iowait", "%steal", "%irq", "%soft", "%guest", "%gnice", "%idle"]
    head = "     CPU " + " ".join(f"{name:>9}" for name in names)
    lines = ["Linux 6.99.0-made-up (host) \t10/20/2030 \t_x86_64_\t(8 CPU)", "", f"01:03:51 AM{head}"]
    lines += [f"01:03:52 AM      {cpu} " + "     1.00" * 9 + "     91.00" for cpu in CPUS]
    lines += ["", f"{word}   {head}"]
    for cpu, share in zip(CPUS, idle, strict=True):
        values = [2.0, 0.0, 100 - share - 5, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, share]
        lines.append(f"{word}      {cpu} " + " ".join(f"{value:9.2f}" for value in values))
    return "\n".join(lines).replace(".", comma) + "\n" if comma != "." else "\n".join(lines) + "\n"


def perf(cycles: int = 60_000_000_000, instructions: int = 40_000_000_000, group: str = "") -> str:
    """perf stat over ten seconds; group: the separator of thousands."""
    counts = [f"{value:,}".replace(",", group) for value in (cycles, instructions)]
    return (
        "\n Performance counter stats for 'CPU(s) 4-5':\n\n"
        f"       {counts[0]}      cycles                           \n"
        f"       {counts[1]}      instructions      #    0.66  insn per cycle\n\n"
        "      10.000000000 seconds time elapsed\n\n"
    )


IRQ = (
    "idx irq        fired       rxpkts       txpkts         cpus name\n"
    "  0 327          500            0            0          0-3 nic_async0\n"
    "  1 328         1500        40000        20000            4 nic_comp0\n"
    "total           2000        40000        20000\n"
)
TCP = (
    "one: sent    2050006 | retrans        299 | timeout        175 | loss rate   0.009%\n"
    "two: sent    1938229 | retrans          1 | timeout          0 | loss rate   0.000%\n"
)
SETUP = (
    "Linux server 6.99.0-made-up #1 SMP Sat Oct 19 23:28:38 UTC 2030 x86_64 GNU/Linux\nTURBO:\n"
    "Adaptive RX: on TX: off\nrx-usecs: 8\ngro_flush_timeout: 20000\nnapi_defer_hard_irqs: 100\n"
    '[\n  {\n    "id": 1,\n    "irq-suspend-timeout": 0\n  }\n]\n'
)
MEMCACHED = " taskset -c 4-5 /opt/memcached -t 2\n\n/opt/mutilate -T 32 -q 200000 --noload -t 30\n\n"
STATS = "Trying 127.0.0.1...\nSTAT pid 1\nSTAT rusage_user 82.280040\nSTAT conn_yields 1379400\nEND\n"
POLL = "Attaching 1 probe...\n\n@[0]: 10\n@[4]: 30\n"
EPOLL = "{ common_pid: mc-worker       [     47670], ret:          8 } hitcount:          3\n"


def irqsuspend(
    where: Path,
    cases: Sequence[tuple[int, str]] = ((200_000, "base"), (0, "base"), (200_000, "defer20"), (0, "defer20")),
    runs: int = 3,
) -> Path:
    """A directory of a small campaign, every kind of file in it."""
    where.mkdir(exist_ok=True)
    for number, (qps, case) in enumerate(cases):
        for run in range(runs):
            files = {
                "mutilate": mutilate((qps or 900_000) + 10.0 * run, 100.0 * (number + 1) + run),
                "sar": sar((70.0 - run, 80.0)),
                "perf": perf(),
            }
            files |= {"irq": IRQ, "tcp": TCP, "setup": SETUP, "memcached": MEMCACHED}
            files |= {"stats": STATS, "poll": POLL, "epoll": EPOLL}
            for kind, text in files.items():
                (where / f"{kind}-{qps}-{case}-{run}.out").write_text(text)
    return where


NETPERF_TITLES = (
    "Minimum Latency Microseconds,Mean Latency Microseconds,Maximum Latency Microseconds,"
    "50th Percentile Latency Microseconds,90th Percentile Latency Microseconds,"
    "99th Percentile Latency Microseconds,Transaction Rate Tran/s,Throughput,Throughput Units"
)
NETPERF_RR = (
    "MIGRATED TCP REQUEST/RESPONSE TEST from 0.0.0.0 (0.0.0.0) port 0 AF_INET to 10.0.0.1 () port 0 AF_INET : "
    f"first burst 0\n{NETPERF_TITLES}\n11,21.50,901,20,26,48,46000.500,46000.50,Trans/s\n"
)
NETPERF_STREAM = (
    "MIGRATED TCP STREAM TEST from 0.0.0.0 (0.0.0.0) port 0 AF_INET to 10.0.0.1 () port 0 AF_INET\n"
    f"{NETPERF_TITLES}\n0,1.44,819,1,3,4,1.000,9000.50,10^6bits/s\n"
)
NETPERF_KEYS = (
    "THROUGHPUT=46000.50\nTHROUGHPUT_UNITS=Trans/s\nELAPSED_TIME=10.00\nMEAN_LATENCY=21.50\nP99_LATENCY=48\n"
    "PROTOCOL=UDP\nREQUEST_SIZE=64\nLOCAL_CPU_UTIL=-1.00\nREMOTE_CPU_UTIL=12.5\n"
)
NEPER = (
    "time,tid,flow_id,bytes_read,transactions,latency_min,latency_mean,latency_max,latency_stddev,"
    "latency_p50,latency_p90,latency_p99,utime,stime\n"
    "100.0,0,0,1000,1000,0.000010,0.000020,0.001000,0.000004,0.000018,0.000030,0.000050,0.1,0.2\n"
    "101.0,0,0,4000,4000,0.000008,0.000030,0.002000,0.000004,0.000028,0.000040,0.000060,0.2,0.4\n"
    "102.0,0,0,9000,9000,0.000012,0.000030,0.001500,0.000004,0.000028,0.000040,0.000060,0.3,0.6\n"
)


def hdr_line(values: dict[int, int], start: float = 0.0, length: float = 1.0, tag: str = "") -> str:
    """A line of an HdrHistogram log: {value: count}, values below 2048 so that each has a bucket of its own."""
    words, at = bytearray(), 0
    for value in sorted(values):
        if value > at:
            words += _leb(at - value)
        words += _leb(values[value])
        at = value + 1
    return f"{tag and f'Tag={tag},'}{start:.3f},{length:.3f},{max(values) / 1e6:.3f},{hdr_text(bytes(words))}\n"


def hdr_text(words: bytes, digits: int = 3, lowest: int = 1, highest: int = 3_600_000_000) -> str:
    """The base64 text of a compressed V2 histogram with these encoded counts."""
    payload = struct.pack(">iiiiqqd", 0x1C849313, len(words), 0, digits, lowest, highest, 1.0) + words
    data = zlib.compress(payload)
    return base64.b64encode(struct.pack(">ii", 0x1C849314, len(data)) + data).decode()


def _leb(number: int) -> bytes:
    value = ((number << 1) ^ (number >> 63)) & (2**64 - 1)
    made = bytearray()
    while value > 0x7F and len(made) < 8:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


HDR_HEAD = '#[Histogram log format version 1.3]\n"StartTimestamp","Interval_Length","Interval_Max",' + (
    '"Interval_Compressed_Histogram"\n'
)


RTLA = (
    "# RTLA timerlat histogram\n# Time unit is microseconds (us)\n# Duration:   0 00:01:05\n"
    "Index   IRQ-000   Thr-000   IRQ-001   Thr-001\n"
    "0           600         0       400         0\n"
    "1           380       900       590       800\n"
    "2            20        90        10       190\n"
    "over:         0        10         0        10\n"
    "count:     1000      1000      1000      1000\n"
    "min:          0         1         0         1\n"
    "avg:          0         1         0         1\n"
    "max:          2        77         2        99\n"
)
FORTIO = """{
  "RunType": "HTTP", "RequestedQPS": "500", "RequestedDuration": "4s", "ActualQPS": 499.5,
  "ActualDuration": 4004000000, "NumThreads": 8, "Version": "1.60.1",
  "DurationHistogram": {
    "Count": 2000, "Min": 0.0001, "Max": 0.02, "Sum": 0.8, "Avg": 0.0004, "StdDev": 0.0002,
    "Data": [{"Start": 0.0001, "End": 0.02, "Percent": 100, "Count": 2000}],
    "Percentiles": [{"Percentile": 50, "Value": 0.00035}, {"Percentile": 99, "Value": 0.0015},
                    {"Percentile": 99.9, "Value": 0.005}]
  },
  "RetCodes": {"200": 1990, "503": 10}
}
"""
