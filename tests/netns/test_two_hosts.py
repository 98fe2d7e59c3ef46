"""Experiments on two hosts over real SSH: a wire between them, lent for each run and put back as it was found."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.store import ResultSet
from tests.netns import sshhosts
from tests.netns.test_fleet import line_of

pytestmark = pytest.mark.skipif(bool(sshhosts.available()), reason=sshhosts.available())

# Both hosts, and Ansible, share the CPUs of this machine: that others use them is not the matter.
FILE = """\
name: two
topology:
  nodes:
    client: {{host: gen, interface: eth1, cpus: "0"}}
    server: {{host: dut, interface: eth1, cpus: "{cpu}"}}
  links: [{{between: [client, server]}}]
workload: {{kind: ping-pong, from: client, to: server, protocol: udp, size: 64B, warmup: 20ms, duration: {duration}}}
contention: {{on: server.cpus, kind: spin, threads: 1, load: 20%}}
checks: {{max_foreign_share: 100%, max_steal_share: 100%, max_starved_share: 100%, max_hog_error: 100%}}
cases:
  base: {{settings: {{"*": {{offloads: {{sg: off}}}}}}}}
  busy:
    settings:
      "*": {{busy_poll: {{usecs: 1000, prefer: on}}, coalesce: {{napi_defer_hard_irqs: 10, gro_flush_timeout: 20us}}}}
repeat: {repeat}
seed: 1
"""
# The same as a tuning, of two settings in place of two cases.
TUNED = """\
settings: {"*": {offloads: {sg: off}}}
tune:
  space: {"settings.*.busy_poll": [none, {usecs: 1000, prefer: on}]}
  goal: {least: rtt_p50_us}
"""
PILOTS = 6
RUNS = 10
LOOKS = (
    ["ip", "-j", "-d", "link", "show", "dev", "eth1"],
    ["ip", "-j", "address", "show", "dev", "eth1"],
    ["ip", "-j", "route", "show", "table", "all"],
    ["ip", "-j", "-6", "route", "show", "table", "all"],
    ["sh", "-c", "cd /proc/sys/net/ipv4 && grep -r . conf/eth1 neigh/eth1"],
    ["sh", "-c", "mount -t sysfs none /sys && cd /sys/class/net/eth1 && cat gro_flush_timeout threaded queues/*/*cpus"],
    ["ethtool", "-k", "eth1"],
)


def experiment(home: Path, repeat: int, duration: str = "100ms") -> None:
    cpu = max(os.sched_getaffinity(0))
    text = FILE.format(repeat=repeat, duration=duration, cpu=cpu)
    (home / "x.yaml").write_text(text)
    (home / "tuned.yaml").write_text(text.partition("cases:")[0] + TUNED)


def the_set(home: Path) -> ResultSet:
    found = ResultSet.latest(home / "results", "two")
    assert found is not None
    return found


def look(bed: sshhosts.Bed) -> dict[str, list[str]]:
    """All that can be seen of the wire's ends, and of the routes of their hosts."""
    found = {}
    for host in bed.hosts.values():
        words = ["nsenter", f"--net=/run/netns/{host.netns}", "unshare", "-m"]
        found[host.name] = [
            subprocess.run([*words, *each], capture_output=True, text=True, check=False).stdout for each in LOOKS
        ]
    return found


def await_that(seen: Callable[[], Any], expected: Any) -> None:
    """What is at its end has some moments to get there."""
    deadline = time.monotonic() + 60
    while (now := seen()) != expected:
        assert time.monotonic() < deadline, (now, expected)
        time.sleep(0.1)


def until(process: subprocess.Popen[str], pattern: str) -> str:
    """What it says until it says something like this."""
    said = ""
    assert process.stderr is not None
    while not re.search(pattern, said):
        line = process.stderr.readline()
        assert line, said
        said += line
    return said


def commands(below: Path) -> list[list[bytes]]:
    """Command lines that name this directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            found += [words] if any(str(below).encode() in word for word in words) else []
    return found


def own_run(directory: Path) -> int:
    """The process of `pollbench run --share-file` of the host with this directory."""
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            words = (path.parent / "cmdline").read_bytes().split(b"\0")
            ours = b"--share-file" in words and not words[0].endswith(b"sh")
            if ours and path.resolve().is_relative_to(directory):
                return int(path.parent.name)
        except OSError:
            continue
    raise AssertionError(f"no run below {directory}")


def kill_while_it_measures(bed: sshhosts.Bed, name: str) -> None:
    """A host's run ends, unasked, at a moment when it has the interface."""
    pid, ask = own_run(bed.home / name), ["ip", "-n", bed.hosts[name].netns, "link", "show", "eth1"]
    while True:
        os.kill(pid, signal.SIGSTOP)
        if subprocess.run(ask, capture_output=True, check=False).returncode:
            break
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)


def check_both_ends(record: Any, path: Path) -> None:
    """What a run over two hosts says of itself, and the files it keeps."""
    # Other tests compute beside these: a poller that rarely has its CPU polls little, and a run says so.
    assert record.verdict == "valid" or all("busy-polled" in reason for reason in record.reasons), record.reasons
    assert record.environment["host"] == "gen / dut"
    assert record.environment["kernel"] == os.uname().release
    metrics, nodes = record.metrics, record.nodes
    assert [nodes[node]["host"] for node in ("client", "server")] == ["gen", "dut"]
    assert nodes["server"]["interface"] == "eth1 (veth)"
    for role in ("client", "server"):
        polled = metrics[f"{role}_polled_percent"]
        # Beside a hog the pollers lose their CPU for whole slices; what comes meanwhile is not polled.
        assert polled > 0 if record.case in ("busy", "s01") else polled == 0
        assert metrics[f"{role}_cpu_percent"] > 0
        assert nodes[role]["received_packets"] >= metrics["requests"]
    # The hogs are on the server's host, and so are its CPUs.
    assert metrics["hog_achieved_percent"] > 0
    assert {"0", "server:0"} <= set(record.cpus)
    assert {row.node for row in record.knobs} == {"client", "server"}
    assert all(row.took_effect is not False for row in record.knobs)
    said = {file.name for file in (path / "runs" / record.run_id).iterdir()}
    assert {"client.stdout.jsonl", "server.stdout.jsonl", "hog.stdout.jsonl", "samples.parquet"} <= said


def check_set(results: ResultSet, runs: int) -> None:
    """Every run is there, and had both ends."""
    records = results.records()
    assert [record.environment["host"] for record in records] == ["gen / dut"] * runs
    assert (results.path / "runs.csv").read_text().count("gen / dut") == runs
    # Where others keep the CPUs busy, a window may pass in which hardly anything could be sent.
    able = [record for record in records if (record.metrics.get("requests") or 0) > 100]
    assert able, [record.reasons for record in records]
    for record in able:
        check_both_ends(record, results.path)


def is_tuned(bed: sshhosts.Bed) -> None:
    """The pilots are one play, each run has both ends, and both interfaces are as they were afterwards."""
    before = look(bed)
    done = bed.pollbench("tune", "tuned.yaml", "-i", str(bed.inventory()), "--budget", "1ms")
    assert done.returncode == 1 and "the budget was spent" in done.stdout, (done.stdout, done.stderr)
    await_that(lambda: look(bed), before)
    assert f"gen  done: {PILOTS} of {PILOTS} runs" in done.stderr
    assert "its end of the runs" in line_of("dut", done.stderr, "done")
    results = the_set(bed.home)
    steps = json.loads((results.path / "tune.json").read_bytes())["steps"]
    assert [(step["kind"], step["settings"]) for step in steps] == [("pilot", ["today", "s01"])] * 3
    check_set(results, PILOTS)
    judged = bed.pollbench("tune", "--judge", str(results.path))
    assert "replayed: the same decisions" in judged.stderr, judged.stderr


def is_killed_in_the_middle(bed: sshhosts.Bed, words: list[str]) -> None:
    """The conductor is killed; the hosts go on without it, then one of them is killed as well, and put back."""
    before = look(bed)
    process = bed.start(*words)
    until(process, r"gen  [1-9]\d*/\d")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    await_that(lambda: [words for words in commands(bed.home) if b"ansible-playbook" in b" ".join(words[:2])], [])
    kill_while_it_measures(bed, "gen")
    done = bed.pollbench("fleet", "clean", "-i", str(bed.inventory()))
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "gen: restored interface eth1" in done.stdout
    await_that(lambda: look(bed), before)
    assert not bed.hosts["gen"].directory.exists()
    # What it had put aside for Ansible, here.
    done = bed.pollbench("clean")
    assert done.returncode == 0 and "removed directory" in done.stdout, (done.stdout, done.stderr)


def words_of(bed: sshhosts.Bed) -> list[str]:
    """The command that runs the experiment."""
    return ["fleet", "run", "x.yaml", "-i", str(bed.inventory())]


def test_two_hosts_measure_a_wire_and_what_is_killed_is_put_back(tmp_path: Path) -> None:
    experiment(tmp_path, repeat=RUNS // 2, duration="200ms")
    with sshhosts.open_bed(tmp_path, ["gen", "dut", "idle"], fresh=True) as bed:
        bed.wire("gen", "dut")
        is_tuned(bed)
        is_killed_in_the_middle(bed, words_of(bed))
