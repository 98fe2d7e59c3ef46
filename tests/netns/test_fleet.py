"""Fleets over real SSH: hosts in namespaces, split runs, merged sets, and hosts that fail in every way we know."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

import pytest

from harness.host import load_definition
from harness.store import ResultSet, RunRecord
from tests import lanes
from tests.netns import sshhosts

pytestmark = pytest.mark.skipif(bool(sshhosts.available()), reason=sshhosts.available())

FILE = """\
name: fl
topology:
  nodes: {{client: {{}}, server: {{}}}}
  links: [{{between: [client, server]}}]
workload: {{kind: ping-pong, from: client, to: server, protocol: udp, size: 64B, warmup: 20ms, duration: {duration}}}
cases: {{base: {{}}, busy: {{settings: {{"*": {{busy_poll: {{usecs: 50}}}}}}}}}}
repeat: {repeat}
seed: 1
"""
SWAPPINESS = Path("/proc/sys/vm/swappiness")
# Runs of several hosts share two CPUs here: what a run finds is not the matter, that it was made is.
MADE = (0, 1)


def experiment(home: Path, repeat: int, duration: str = "50ms") -> None:
    (home / "x.yaml").write_text(FILE.format(repeat=repeat, duration=duration))


def the_set(home: Path, output: str = "results") -> ResultSet:
    found = ResultSet.latest(home / output, "fl")
    assert found is not None
    return found


def by_host(results: ResultSet) -> dict[str, list[RunRecord]]:
    found: dict[str, list[RunRecord]] = defaultdict(list)
    for record in results.records():
        assert record.environment["place"] == "fleet"
        found[str(record.environment["host"])].append(record)
    return dict(found)


def blocks_of_two_hosts(results: ResultSet) -> list[int]:
    hosts = defaultdict(set)
    for record in results.records():
        hosts[record.block].add(record.environment["host"])
    return [block for block, names in hosts.items() if len(names) > 1]


def line_of(host: str, said: str, word: str = "failed") -> str:
    lines = [line for line in said.splitlines() if line.split() and line.split()[0] == host and word in line]
    assert lines, f"no line of {host} says {word}:\n{said}"
    return lines[-1]


def test_hosts_that_fail_cost_their_share_and_others_make_it_later(tmp_path: Path) -> None:
    experiment(tmp_path, repeat=6)
    # The same program, whose installation says another version: as a host that was forgotten when others were upgraded.
    old = tmp_path / "old"
    (old / "pollbench-0.0.9.dist-info").mkdir(parents=True)
    (old / "pollbench-0.0.9.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: pollbench\nVersion: 0.0.9\n"
    )
    with sshhosts.open_bed(tmp_path, ["dut1", "dut2", "dut3", "dut4"], small_disk_kb={"dut2": 128}) as bed:
        inventory = bed.inventory(dut3={"pollbench_command": f"env PYTHONPATH={old} {sshhosts.POLLBENCH}"})
        bed.hosts["dut4"].kill()
        first = bed.pollbench("fleet", "run", "x.yaml", "-i", str(inventory), "--interval", "0.2")
        assert f"0.0.9 there, {version('pollbench')} here" in line_of("dut3", first.stderr)
        assert "unreachable" in line_of("dut4", first.stderr)
        assert f"its disk is full ({bed.hosts['dut2'].directory}" in line_of("dut2", first.stderr)
        assert "6 of 6 runs" in line_of("dut1", first.stderr, "done")
        assert first.returncode == 1
        assert "runs are missing; with --resume" in first.stderr
        results = the_set(tmp_path)
        kept = by_host(results)
        assert len(kept["dut1"]) == 6
        assert set(kept) <= {"dut1", "dut2"}
        assert 0 < len(kept.get("dut2", [])) < 6

        again = bed.pollbench("fleet", "run", "x.yaml", "-i", str(inventory), "--limit", "dut1", "--resume")
        assert again.returncode in MADE, again.stderr
    results = the_set(tmp_path)
    assert len(results.records()) == 12
    assert results.warnings == []
    assert blocks_of_two_hosts(results) == []
    # What had been made was not made again, but for the block that the full host had begun.
    before = {record.run_id: record.started_utc for each in kept.values() for record in each}
    after = {record.run_id: record.started_utc for record in results.records()}
    assert sum(after[name] != started for name, started in before.items()) == len(kept["dut2"]) % 2
    table = (results.path / "runs.csv").read_text().splitlines()
    assert "host" in table[0].split(",")
    assert len(table) == 13
    # The artifacts of every call of ansible-runner are there, without the environment they were made in.
    plays = sorted((results.path / "fleet" / "ansible").glob("*-fleet*"))
    assert [play.name.partition("-")[2] for play in plays] == ["fleet_run", "fleet_run"]
    assert all((play / "stdout").exists() and "env" not in json.loads((play / "command").read_text()) for play in plays)


def test_a_host_that_is_killed_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    experiment(tmp_path, repeat=6, duration="300ms")
    with sshhosts.open_bed(tmp_path, ["dut1", "dut2"]) as bed:
        words = ["fleet", "run", "x.yaml", "-i", str(bed.inventory()), "--interval", "0.1"]
        process = bed.start(*words)
        assert process.stderr is not None
        said = ""
        while "dut2  2/6" not in said and "dut2  3/6" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        bed.hosts["dut2"].kill()
        _, rest = process.communicate(timeout=120)
        said += rest
        assert process.returncode == 1, said
        assert "unreachable" in line_of("dut2", said)
        assert "6 of 6 runs" in line_of("dut1", said, "done")
        results = the_set(tmp_path)
        assert set(by_host(results)) == {"dut1"}
        # Every line of a host's is heard once, however often it was looked at.
        log = (results.path / "fleet" / "logs" / "dut1.log").read_text().splitlines()
        runs = [line.partition(" ")[2].partition("/6 ")[0] for line in log if "/6  " in line]
        assert runs == [str(number) for number in range(1, 7)], log
        on_disk = {
            json.loads(path.read_text())["run_id"]: json.loads(path.read_text())["started_utc"]
            for path in bed.hosts["dut2"].directory.glob("*/*/results/fl/*/runs/[!.]*/run.json")
        }
        assert len(on_disk) >= 2

        bed.hosts["dut2"].boot()
        again = bed.pollbench(*words, "--resume")
        assert again.returncode in MADE, again.stderr
        results = the_set(tmp_path)
        found = by_host(results)
        assert {host: len(records) for host, records in found.items()} == {"dut1": 6, "dut2": 6}
        assert blocks_of_two_hosts(results) == []
        started = {record.run_id: record.started_utc for record in found["dut2"]}
        assert {name: started[name] for name in on_disk} == on_disk

        done = bed.pollbench("fleet", "clean", "-i", str(bed.inventory()))
        assert done.returncode == 0, done.stderr
        assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["dut1", "dut2"]
        assert not any(host.directory.exists() for host in bed.hosts.values())


def test_interrupted_it_stops_the_hosts_puts_them_back_and_keeps_what_they_finished(tmp_path: Path) -> None:
    experiment(tmp_path, repeat=40, duration="300ms")
    # Of all settings one that nobody here measures with; the state file is the test's own.
    settings = {each["name"]: "leave" for each in load_definition().settings} | {"swappiness": 17}
    (tmp_path / "one.yml").write_text(json.dumps({"settings": settings}))
    with lanes.alone_on_host_settings(), sshhosts.open_bed(tmp_path, ["dut1"]) as bed:
        found = SWAPPINESS.read_text()
        inventory = bed.inventory(dut1={"measuring_host_state": str(tmp_path / "dut1" / "host.json")})
        words = ["fleet", "run", "x.yaml", "-i", str(inventory), "--interval", "0.1", "--prepare", "one.yml"]
        process = bed.start(*words)
        assert process.stderr is not None
        while "dut1  2/80" not in (line := process.stderr.readline()) and "dut1  3/80" not in line:
            assert line
        assert SWAPPINESS.read_text() == "17\n"
        process.terminate()
        _, said = process.communicate(timeout=120)
        assert process.returncode == 130, said
        assert "go on with --resume" in said
        assert "dut1  restore: 1 values" in said
        assert SWAPPINESS.read_text() == found
        made = len(the_set(tmp_path).records())
        assert 2 <= made < 80
        # Nothing of it runs on any more.
        time.sleep(0.5)
        before = set(bed.hosts["dut1"].directory.glob("*/*/results/fl/*/runs/*"))
        time.sleep(1)
        assert set(bed.hosts["dut1"].directory.glob("*/*/results/fl/*/runs/*")) == before


def test_every_host_makes_all_of_it_to_be_compared(tmp_path: Path) -> None:
    experiment(tmp_path, repeat=2)
    with sshhosts.open_bed(tmp_path, ["dut1", "dut2"]) as bed:
        # A name that Ansible would take for several.
        words = ["-i", str(bed.inventory()), "--split", "none", "-o", "our results, all"]
        done = bed.pollbench("fleet", "run", "x.yaml", *words)
        assert done.returncode in MADE, done.stderr
    assert "fleet.host=dut1" in done.stdout
    results = the_set(tmp_path, "our results, all")
    assert {host: len(records) for host, records in by_host(results).items()} == {"dut1": 4, "dut2": 4}
    assert {record.factors["fleet.host"] for record in results.records()} == {"dut1", "dut2"}


def test_doctor_says_of_each_host_what_is_lacking(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(FILE.format(repeat=2, duration="1s").replace("server: {{}}", "server: {}"))
    many = (tmp_path / "x.yaml").read_text().replace("client: {}", 'client: {cpus: "97"}')
    (tmp_path / "many.yaml").write_text(many)
    with sshhosts.open_bed(tmp_path, ["dut1", "dut2"]) as bed:
        inventory = str(bed.inventory())
        bed.hosts["dut2"].kill()
        done = bed.pollbench("fleet", "doctor", "x.yaml", "-i", inventory, "--json")
        rows = {row["host"]: row for row in json.loads(done.stdout)}
        assert done.returncode == 3, done.stderr
        assert rows["dut1"]["ready"], rows
        assert rows["dut1"]["kernel"] == os.uname().release
        assert rows["dut1"]["cpus"] == os.cpu_count()
        assert not rows["dut2"]["ready"]
        assert "unreachable" in rows["dut2"]["lacks"][0]
        # Where nobody is there to measure, no set is left.
        nobody = bed.pollbench("fleet", "run", "x.yaml", "-i", inventory, "--limit", "dut2")
        assert nobody.returncode == 3
        assert "no host is ready" in nobody.stderr
        assert ResultSet.latest(tmp_path / "results", "fl") is None
        told = bed.pollbench("fleet", "doctor", "many.yaml", "-i", inventory, "--limit", "dut1")
        assert "no CPU 97" in told.stdout
        assert told.returncode == 3
