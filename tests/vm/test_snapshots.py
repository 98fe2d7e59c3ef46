"""Guests resumed from snapshots: saved once, the same afterwards, and made again where one was damaged."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.places.vm.home import Home, disk_bytes
from harness.places.vm.snapshots import Snapshots
from harness.store import ResultSet
from tests import experiment
from tests.vm.conftest import vm_run, write


@pytest.fixture
def own(home: Home, tmp_path: Path) -> Home:
    """A home of the same images, and of the snapshots that there are of them: what is done to these is seen here only.

    Their files are links: whoever damages one has to make it another file first.
    """
    path = tmp_path / "vm"
    path.mkdir()
    for name in ("artefacts", "expanded"):
        (path / name).symlink_to(home.path / name)
    shutil.copy(home.path / "index.json", path)
    for state in (home.path / "snapshots").glob("*/state"):
        copy = path / "snapshots" / state.parent.name
        with contextlib.suppress(FileNotFoundError):  # it was the one used longest ago, and another worker made one
            shutil.copytree(state.parent, copy, copy_function=os.link)
            os.utime(copy, (0, 0))
    return Home(path)


def run_in(own: Home, file: Path, results: Path, *arguments: str) -> tuple[ResultSet, dict[str, Any]]:
    """The set that `vm run` makes in this home, all valid, and the account of its one boot."""
    code, _, err = vm_run(file, results, *arguments, env={"POLLBENCH_VM_HOME": str(own.path)})
    assert code == 0, err
    made = ResultSet.latest(results, "small")
    assert made is not None
    (boot,) = json.loads((made.path / "vm.json").read_text())["boots"]
    return made, boot


def test_in_model_time_resumed_guests_are_the_same_to_the_ns_and_repetitions_are_not(
    home: Home, results: Path, tmp_path: Path
) -> None:
    """What the kernel draws at random is drawn after the resume: by the seed of the repetition, and by that alone.

    One after the other or side by side is all one to them: their time does not know how busy this host is.
    """
    drawn: dict[str, Any] = {"kind": "command", "from": "client", "to": "server", "timeout": "120s"}
    drawn |= {"client": ["sh", "-c", "od -An -N16 -tx1 /dev/urandom; echo 7 rps"]}
    drawn |= {"figures": {"rate_rps": {"regex": "([0-9]+) rps"}}}
    file = experiment.write(tmp_path, repeat=2, cases={"base": {}, "drawn": {"workload": drawn}})
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
    own: Home, results: Path, tmp_path: Path
) -> None:
    file = write(tmp_path)
    uptimes, states, damaged_inode = [], [], 0
    for number in range(3):
        made, boot = run_in(own, file, results)
        assert (boot["started"], boot["not_resumed"]) == ("snapshot", "")
        (record,) = made.records()
        assert record.verdict == "valid", record.reasons
        *_, key = Snapshots(own, lambda: None).sizes()
        state = own.path / "snapshots" / key / "state"
        states.append(os.stat(state).st_ino)
        uptimes.append(boot["guest_uptime_s"])
        assert boot["found"]["memory_bytes"] < os.stat(state).st_size
        assert disk_bytes(state) < os.stat(state).st_size / 2
        if number == 1:
            damaged = state.with_name("damaged")
            subprocess.run(["cp", "--sparse=always", state, damaged], check=True)
            os.truncate(damaged, os.stat(state).st_size - 4096)
            os.replace(damaged, state)
            damaged_inode = os.stat(state).st_ino
    # The second went on where the first had stood; the third was saved anew.
    assert states[0] == states[1]
    assert states[2] != damaged_inode
    assert abs(uptimes[0]["resumed"] - uptimes[1]["resumed"]) < 0.5
    assert all(0 < uptime["resumed"] <= uptime["ready"] for uptime in uptimes)
    assert not list(own.path.glob("tmp-*"))
