"""What limits a fleet: merging shares, tables of a big set, plays over many hosts, the overhead over a plain run.

Shares are run directories as a host's store writes them. A thousand hosts are simulated by local connections to a
program that only tells its version, so that what is measured is this end's work. The overhead is over real SSH, and so
is the start of a hundred hosts, of which each is a program that tells its version and sleeps.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.cli.progress import HostBoard
from harness.kernel.cgroup import Group, require
from harness.places.fleet import wheel
from harness.places.fleet.crew import Crew
from harness.places.fleet.inventory import hosts_in
from harness.places.fleet.merge import merge, settle
from harness.store import ResultSet, codec
from harness.tables import write_tables
from tests.netns import sshhosts
from tests.unit import synthetic

SHARES, RUNS = 100, 1000
HOSTS = 1000
STARTED = 100
SAMPLES_BYTES = 4_000
EXPERIMENT = """\
name: fl
topology:
  nodes: {client: {}, server: {}}
  links: [{between: [client, server]}]
workload: {kind: ping-pong, from: client, to: server, protocol: udp, size: 64B, warmup: 100ms, duration: 400ms}
cases: {base: {}, busy: {settings: {"*": {busy_poll: {usecs: 50}}}}}
repeat: 10
seed: 1
"""


def timed(what: str, act: Callable[[], Any], per: int = 0, unit: str = "") -> float:
    """Do it, print how long it took, and how long for each."""
    begin = time.monotonic()
    act()
    took_s = time.monotonic() - begin
    print(f"{what:<58} {took_s:8.1f} s" + (f"  {took_s / per * 1e3:8.2f} ms per {unit}" if per else ""), flush=True)
    return took_s


class _Plan:
    plan_hash = "0" * 64

    def to_json(self) -> dict[str, Any]:
        return {"format": 1, "name": "big", "cells": [], "runs": []}


def make_shares(home: Path) -> set[str]:
    """SHARES directories of RUNS runs each."""
    body = synthetic.record("busypoll50", "0%", 1)
    body.environment["host"] = "h"
    known = set()
    for share in range(SHARES):
        for number in range(RUNS):
            name = f"{share:04x}{number:08x}"
            known.add(name)
            directory = home / f"h{share}" / name
            directory.mkdir(parents=True)
            record = replace(body, run_id=name, block=number)
            (directory / "run.json").write_bytes(codec.to_json(record))
            (directory / "samples.parquet").write_bytes(b"x" * SAMPLES_BYTES)
    return known


def merging(home: Path) -> None:
    """Merge the shares into one set, then make its tables."""
    results = ResultSet.create(home / "results", "big", "20260101T000000Z", b"", _Plan(), {})
    incoming = home / "incoming"
    known = make_shares(incoming)
    total = SHARES * RUNS

    def merge_all() -> None:
        for share in range(SHARES):
            merge(results, incoming / f"h{share}", known)
        settle(results)

    os.sync()
    timed(f"merge {SHARES} shares of {RUNS} runs", merge_all, total, "run")
    assert len(results.run_ids()) == total
    timed(f"tables of a set of {total} runs", lambda: write_tables(results), total, "run")
    print(f"{'memory at most':<58} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:8.0f} MB")


def many_hosts(home: Path) -> None:
    """Read an inventory of HOSTS hosts and see which are ready."""
    program = home / "version"
    program.write_text(f"#!/bin/sh\necho pollbench {wheel.version()}\n")
    program.chmod(0o755)
    inventory = home / "many.ini"
    common = f"ansible_connection=local pollbench_command={program} pollbench_dir={home}/fleet"
    inventory.write_text(
        "".join(f"h{number} ansible_python_interpreter={sys.executable} {common}\n" for number in range(HOSTS))
    )
    found: dict[str, dict[str, Any]] = {}
    timed(f"read an inventory of {HOSTS} hosts", lambda: found.update(hosts_in([str(inventory)])))
    board = HostBoard([])
    crew = Crew([str(inventory)], found, home / "play", "many", board, lambda: False, forks=50)
    ready: list[str] = []
    timed(f"one play over {HOSTS} hosts, 50 forks", lambda: ready.extend(crew.ready()), HOSTS, "host")
    assert len(ready) == HOSTS
    size = sum(path.stat().st_size for path in (home / "play" / "ansible").rglob("*") if path.is_file())
    print(f"{'artifacts of that play':<58} {size / 1e6:8.1f} MB {size / HOSTS / 1e3:9.1f} kB per host")
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{'memory of the largest process of Ansible':<58} {children:8.0f} MB")


def overhead(home: Path) -> None:
    """The same experiment by `run` on a host, and by `fleet run` over SSH on the same host."""
    (home / "x.yaml").write_text(EXPERIMENT)
    with sshhosts.open_bed(home, ["dut1"]) as bed:
        inventory = str(bed.inventory())
        shell = 'mount -t tmpfs none /run/pollbench && mount -t tmpfs none /run/netns && exec "$@"'
        words = ["unshare", "-m", "sh", "-c", shell, "sh", str(sshhosts.POLLBENCH), "run", "x.yaml", "-o", "plain"]
        plain_s, fleet_s = [], []
        for _ in range(3):
            plain_s.append(
                timed(
                    "20 runs, pollbench run", lambda: subprocess.run(words, cwd=home, capture_output=True, check=False)
                )
            )
            fleet_s.append(
                timed("20 runs, pollbench fleet run", lambda: bed.pollbench("fleet", "run", "x.yaml", "-i", inventory))
            )
        walls = [
            sum(json.loads(path.read_text())["wall_s"] for path in directory.glob("*/runs/*/run.json"))
            for directory in (home / "plain" / "fl", home / "results" / "fl")
        ]
        print(f"{'overhead of the fleet, once for a host':<58} {min(fleet_s) - min(plain_s):8.1f} s")
        print(f"{'a run itself, in a fleet / plainly':<58} {walls[1] / walls[0]:8.2f}")


def starting(home: Path) -> None:
    """From typing `fleet run` to the last of STARTED hosts having begun, and whose CPU time that took.

    The hosts' part (sshd, shells, and this program's own looks) is burnt here only because they are simulated here;
    real ones have CPUs of their own.
    """
    (home / "x.yaml").write_text(EXPERIMENT.replace("repeat: 10", f"repeat: {STARTED}"))
    program = home / "asleep"
    program.write_text(f"#!/bin/sh\n[ $1 != --version ] || exec echo pollbench {wheel.version()}\nexec sleep 60\n")
    program.chmod(0o755)
    names = [f"h{number}" for number in range(STARTED)]
    with group("hosts") as hosts, group("controller") as controller:
        # Whatever this process starts from now on is a host's, but for what moves itself into the other.
        Path(hosts.entrance).write_text(str(os.getpid()))
        with sshhosts.open_bed(home, names) as bed:
            inventory = bed.inventory(**{name: {"pollbench_command": str(program)} for name in names})
            for label, more in (("ssh's own", ""), ("curve25519-sha256", "-o KexAlgorithms=curve25519-sha256 ")):
                inventory.write_text(inventory.read_text().replace("common_args='", f"common_args='{more}"))
                _start_all(bed, hosts, controller, label)
                sshhosts.close_masters(home)
                for pid in Path(controller.entrance).read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGTERM)
        # What is still in it, of our own, goes with it: the server that forks programs among them.
        for pid in Path(hosts.entrance).read_text().split():
            (hosts.path.parent / "cgroup.procs").write_text(pid)


def _start_all(bed: sshhosts.Bed, hosts: Group, controller: Group, label: str) -> None:
    """Start a fleet run, and interrupt it when all have begun."""
    out = bed.home / f"results {label}"
    typed = [str(sshhosts.POLLBENCH), "fleet", "run", "x.yaml", "-i", str(bed.home / "inventory.ini"), "-o", str(out)]
    enter = ["sh", "-c", f'echo $$ >{controller.entrance} && exec "$@"', "sh", *typed, "--forks", str(STARTED)]
    env = os.environ | {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(bed.home / "cp"), "HOME": str(bed.home)}
    before = {host: set(bed.home.glob(f"{host}/fleet/*/attempt-1/pid")) for host in bed.hosts}
    used_us = [one.usage()["usage_usec"] for one in (controller, hosts)]
    begin = time.monotonic()
    with open(bed.home / "said", "wb") as log:
        process = subprocess.Popen(bed.command(enter), cwd=bed.home, env=env, stdout=log, stderr=log)
    waited = list(bed.hosts)
    while waited:
        assert process.poll() is None and time.monotonic() - begin < 300, (bed.home / "said").read_text()[-2000:]
        time.sleep(0.1)
        waited = [host for host in waited if before[host] >= set(bed.home.glob(f"{host}/fleet/*/attempt-1/pid"))]
    took_s = time.monotonic() - begin
    ours_s, theirs_s = (
        (one.usage()["usage_usec"] - then) / 1e6 for one, then in zip((controller, hosts), used_us, strict=True)
    )
    print(f"{f'the last of {STARTED} hosts begun, key exchange {label}':<58} {took_s:8.1f} s", flush=True)
    print(f"{'  CPU of it: this end (pollbench, Ansible, ssh)':<58} {ours_s:8.1f} s")
    print(f"{'  CPU of it: the hosts (sshd, shells), simulated here':<58} {theirs_s:8.1f} s")
    process.send_signal(signal.SIGINT)
    process.wait()


@contextlib.contextmanager
def group(name: str) -> Iterator[Group]:
    """A control group that says what all inside have used, for the block."""
    path = Path(require([])) / f"pollbench-bench-{os.getpid()}-{name}"
    path.mkdir()
    try:
        yield Group(path)
    finally:
        path.rmdir()


def main() -> int:
    """All of it."""
    parts = {"merging": merging, "hosts": many_hosts, "overhead": overhead, "starting": starting}
    for name in sys.argv[1:] or parts:
        part = parts[name]
        with tempfile.TemporaryDirectory(prefix="pb") as home:
            part(Path(home))
    return 0


if __name__ == "__main__":
    sys.exit(main())
