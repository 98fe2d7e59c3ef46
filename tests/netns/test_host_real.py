"""`pollbench host` on this very host: what can be set here is set, seen by the kernel, and put back to the letter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import lanes

ROOT = Path(__file__).parent.parent.parent
POLLBENCH = [sys.executable, "-m", "harness"]
# Outlives the test: whatever way it ends, end of file on its input is the sign to put everything back.
GUARD = """
import subprocess, sys
sys.stdin.read()
subprocess.run([sys.executable, "-m", "harness", "host", "restore", "--state", sys.argv[1]], stdout=subprocess.DEVNULL)
"""


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    with lanes.alone_on_host_settings():
        yield


@pytest.fixture
def state(alone: None, tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "lib" / "host.json")
    guard = subprocess.Popen(
        [sys.executable, "-c", GUARD, path], cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield path
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait(60)


def pollbench(*words: str) -> tuple[int, Any, str]:
    # The tests of this tier share one host lock with every run on this host; a mount namespace has its own.
    shell = 'mount -t tmpfs none /run/pollbench && exec "$@"'
    os.makedirs("/run/pollbench", exist_ok=True)
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", shell, "sh", *POLLBENCH, "host", *words, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def values() -> dict[str, str]:
    """Every target of every setting on this host, as it is now."""
    code, shown, said = pollbench("show", "--cpus", "0")
    assert code == 0, said
    return {row["target"]: row["found"] for row in shown["settings"] if row["target"]}


def named(found: dict[str, str], without: Collection[str]) -> dict[str, str]:
    """Values by what keeps its name: a kernel thread by that of its own, not by its number; `without` some."""
    return {
        target.split()[-1]: value
        for target, value in found.items()
        if target not in without and not ("kthread" in target and "kworker" in target)
    }


def test_prepare_then_restore_leaves_every_value_as_it_was(state: str) -> None:
    before = values()
    code, done, said = pollbench("prepare", "--cpus", "0", "--state", state)
    assert code == 0, (said, [row for row in done or [] if row["state"] == "failed"])
    changed = {row["target"]: row["wanted"] for row in done if row["state"] == "changed"}
    assert "/proc/sys/vm/swappiness" in changed
    now = values()
    # Without huge pages their kernel thread ends: it comes again with another number.
    lasting = [target for target in changed if target in now]
    assert {target.split()[0] for target in changed if target not in now} <= {"kthread"}
    assert {target: now[target] for target in lasting} == {target: changed[target] for target in lasting}
    assert named(now, changed) == named(before, changed)

    code, again, said = pollbench("prepare", "--cpus", "0", "--state", state)
    assert code == 0, said
    assert [row for row in again if row["state"] not in ("ok", "not applicable")] == []

    code, back, said = pollbench("restore", "--state", state)
    assert code == 0, said
    assert {row["state"] for row in back} <= {"restored", "ok", "gone"}
    assert {row["target"] for row in back if row["state"] == "restored"} == set(lasting)
    assert named(values(), ()) == named(before, ())
    for target in lasting:
        print(f"{target}: {before[target]} -> {changed[target]} -> {before[target]}")  # noqa: T201  # the list that was asked for
    assert pollbench("restore", "--state", state)[1] == []
    assert not Path(state).exists()


def test_check_mode_changes_nothing(state: str) -> None:
    before = values()
    code, done, said = pollbench("prepare", "--profile", "balanced", "--check", "--state", state)
    assert code == 0, said
    assert "would change" in {row["state"] for row in done}
    assert values() == before
    assert not Path(state).exists()
