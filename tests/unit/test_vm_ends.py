"""Why a guest ended, from what its console and its events say; a shell script takes the part of QEMU."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from harness.cli.progress import Progress
from harness.errors import PollbenchError
from harness.places.vm import boot
from harness.places.vm.boot import GuestFailure
from harness.places.vm.emulator import Qemu
from harness.places.vm.execute import Guests
from harness.places.vm.home import Home
from harness.places.vm.image import Image
from harness.plan import load_experiment, make_plan
from harness.signals import stop_on_signals
from harness.store import ResultSet
from tests import experiment
from tests.unit.test_machine_check import account

QEMU = """#!/bin/sh
for word; do
    case $word in
        file,id=con,path=*) printf '%s\\r\\n' {console} >"${{word#*path=}}" ;;
        file,id=events,path=*) printf '%s\\n' {event} >"${{word#*path=}}" ;;
    esac
done
"""
AGENT = '{"ev": "exit", "code": 1}'
PANIC = "[    7.1] Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled"
KILLED = "[   27.8] Out of memory: Killed process 166 (python3) total-vm:254216kB\nKilled"


def end_of(tmp_path: Path, console: str, event: str, version: str = "10.0.13", snapshots: bool = False) -> None:
    """Boot a guest that says this on its console, tells this event, and ends."""
    program = tmp_path / "qemu"
    program.write_text(QEMU.format(console=shlex.quote(console), event=shlex.quote(event)))
    program.chmod(0o755)
    home = Home(tmp_path / "home")
    home.prepare()
    plan = make_plan(load_experiment(experiment.write(tmp_path)))
    results = ResultSet.create(tmp_path, plan.name, "20261122T101500Z", b"", plan, {})
    with stop_on_signals() as stopper:
        emulator = Qemu((str(program),), version, "host")
        guests = Guests(home, emulator, "tcg-smoke", stopper, snapshots=snapshots)
        none = tmp_path / "none"
        guests._images[""] = Image("6.12", "6.12.1", none, none, none, none, none, {})
        guests.execute(plan, results, Progress())


@pytest.mark.parametrize(
    ("console", "event", "said"),
    [
        (PANIC, "", r"out of memory: .*panic_on_oom is enabled; give it more than 1024MiB by vm\.memory$"),
        (KILLED, AGENT, r"out of memory: .*Killed process 166 \(python3\)"),
        ("Traceback\n  File ...\nMemoryError", AGENT, "out of memory: the console says: MemoryError;"),
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 1 GiB", AGENT, "out of memory: "),
        ("Kernel panic - not syncing: System is deadlocked on memory", "", "out of memory: "),
        ("Traceback\n  File ...\nZeroDivisionError: by 0", AGENT, "agent failed: .*ZeroDivisionError: by 0$"),
        ("Kernel panic - not syncing: sysrq", "", "oops: .*sysrq$"),
    ],
)
def test_the_end_of_a_guest_has_a_name(tmp_path: Path, console: str, event: str, said: str) -> None:
    with pytest.raises(GuestFailure, match=said):
        end_of(tmp_path, console, event)


@pytest.mark.parametrize(
    ("version", "why"), [("10.0.13", "its greeting: it ended with exit code 0"), ("8.2.1", "came with QEMU 9.0")]
)
def test_where_no_guest_can_be_saved_it_is_booted_and_the_record_says_why(
    tmp_path: Path, version: str, why: str
) -> None:
    with pytest.raises(GuestFailure, match=r"oops: .*sysrq$"):
        end_of(tmp_path, "Kernel panic - not syncing: sysrq", "", version, snapshots=True)
    (file,) = tmp_path.glob("small/*/vm.json")
    boots = json.loads(file.read_text())["boots"]
    assert [boot["started"] for boot in boots] == ["boot", "boot"]
    assert all(why in boot["not_resumed"] for boot in boots)
    assert list((tmp_path / "home").glob("snapshots/*")) == []


def test_runs_in_another_machine_than_declared_fail_and_nobody_boots_it_again(tmp_path: Path) -> None:
    end_of(tmp_path, "", json.dumps({"ev": "ready", "environment": {}, "machine": account(cpus=1)}))
    made = ResultSet.latest(tmp_path, "small")
    assert made is not None
    (record,) = made.records()
    assert record.verdict == "failed"
    assert "cpus: 2 declared, the guest has 1" in record.reasons[0]
    assert len(json.loads((made.path / "vm.json").read_text())["boots"]) == 1


def test_a_disk_without_room_is_named_before_anybody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "_LEAST_ROOM", 1 << 80)
    with pytest.raises(PollbenchError, match=r"run a guest on .*home: no space left on the disk; free some"):
        end_of(tmp_path, "", "")
