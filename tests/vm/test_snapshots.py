"""Guests resumed from snapshots: saved once, the same afterwards, and made again where one was damaged."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from harness.places.vm.emulator import find_emulator
from harness.places.vm.home import Home, disk_bytes
from harness.places.vm.image import open_image
from harness.places.vm.kind import Kind
from harness.places.vm.snapshots import Snapshots
from harness.plan import load_experiment, make_plan
from harness.store import ResultSet
from tests import experiment
from tests.vm.conftest import MACHINE, vm_run, write


def test_in_model_time_resumed_guests_are_the_same_to_the_ns_and_repetitions_are_not(
    home: Home, results: Path, tmp_path: Path
) -> None:
    """What the kernel draws at random is drawn after the resume: by the seed of the repetition, and by that alone.

    One after the other or side by side is all one to them: their time does not know how busy this host is.
    """
    drawn: dict[str, Any] = {"kind": "command", "from": "client", "to": "server", "timeout": "120s"}
    drawn |= {"client": ["sh", "-c", "od -An -N16 -tx1 /dev/urandom; echo 7 rps"]}
    drawn |= {"figures": {"rate_rps": {"regex": "([0-9]+) rps"}}}
    # A second of traffic takes ten in model time, and a thousand round trips tell as much as ten thousand.
    short = experiment.document()["workload"] | {"warmup": "5ms", "duration": "30ms"}
    file = experiment.write(
        tmp_path, vm=MACHINE, workload=short, repeat=2, cases={"base": {}, "drawn": {"workload": drawn}}
    )
    sets = []
    for jobs in ("1", "2"):
        code, _, err = vm_run(file, results, "--accel", "tcg-virtual", "--snapshots", "yes", "--jobs", jobs)
        assert code == 0, err
        made = ResultSet.latest(results, "small")
        assert made is not None
        boots = json.loads((made.path / "vm.json").read_text())["boots"]
        assert [boot["started"] for boot in boots] == ["snapshot"] * 2, boots[0]["not_resumed"]
        assert boots[0]["guest_uptime_s"]["resumed"] == boots[1]["guest_uptime_s"]["resumed"]
        samples = {}
        for record in made.records():
            columns = made.sample_columns(record.run_id, ["latency_ns"])
            if columns is None:
                kept = (made.path / "runs" / record.run_id / "client.stdout.txt").read_bytes()
            else:
                kept = columns["latency_ns"].tobytes()
            samples[record.case, record.block] = kept
        assert len(set(samples.values())) == 4
        sets.append(samples)
    assert sets[0] == sets[1]


def test_a_guest_is_saved_once_and_one_that_was_damaged_is_saved_again(
    home: Home, results: Path, tmp_path: Path
) -> None:
    """The one that others share is damaged before it is used first, so that it is saved but once for all of them."""
    file = write(tmp_path)
    machine = make_plan(load_experiment(file)).cells[0].spec.machine
    kind = Kind(home, find_emulator(home), open_image(home, ""), machine, "tcg-smoke", {"e1000e": 1})
    damaged = damage(home, kind.key())
    state = home.path / "snapshots" / kind.key() / "state"
    uptimes, states = [], []
    for _ in range(2):
        code, _, err = vm_run(file, results)
        assert code == 0, err
        made = ResultSet.latest(results, "small")
        assert made is not None
        (boot,) = json.loads((made.path / "vm.json").read_text())["boots"]
        assert (boot["started"], boot["not_resumed"]) == ("snapshot", "")
        (record,) = made.records()
        assert record.verdict == "valid", record.reasons
        states.append(os.stat(state).st_ino)
        uptimes.append(boot["guest_uptime_s"])
        assert boot["found"]["memory_bytes"] < os.stat(state).st_size
        assert disk_bytes(state) < os.stat(state).st_size / 2
    # The first was saved anew; the second went on where that had stood.
    assert damaged != states[0] == states[1]
    # How long the first thing of a resumed guest takes is the noise of the host; commands are further apart.
    assert abs(uptimes[0]["resumed"] - uptimes[1]["resumed"]) < 5
    assert all(0 < uptime["resumed"] <= uptime["ready"] for uptime in uptimes)


def damage(home: Home, key: str) -> int:
    """Cut the end off the snapshot of this key, one that was made up where there is none; the inode of its state."""

    def make_up(path: Path) -> None:
        path.write_bytes(b"no guest")

    with Snapshots(home, lambda: time.sleep(0.1)).held(key, make_up) as held:
        os.truncate(held.state, os.stat(held.state).st_size - 1)
        return os.stat(held.state).st_ino
