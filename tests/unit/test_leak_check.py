"""The leak check itself: it must see what a test left, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests import leaks


def test_nothing_left_is_silent() -> None:
    assert leaks.left_behind(leaks.snapshot()) == []


def test_child_process_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "PATIENCE_S", 0.0)
    before = leaks.snapshot()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        left = leaks.left_behind(before)
        child.communicate(b"\n")
    assert len(left) == 1
    assert left[0].startswith(f"child process {child.pid} ") and left[0].endswith(" -c input()")
    assert leaks.left_behind(before) == []


def test_setting_namespace_and_state_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "PATIENCE_S", 0.0)
    setting = tmp_path / "busy_read"
    setting.write_text("0\n")
    monkeypatch.setattr(leaks, "HOST_SETTINGS", (str(setting),))
    monkeypatch.setattr(leaks, "NETNS", tmp_path / "netns")
    monkeypatch.setattr(leaks, "STATE", tmp_path / "state")
    before = leaks.snapshot()
    setting.write_text("50\n")
    (tmp_path / "netns" / "pb-1234-client").mkdir(parents=True)
    (tmp_path / "state" / "1234").mkdir(parents=True)
    assert leaks.left_behind(before) == [
        "network namespace pb-1234-client",
        f"state {tmp_path / 'state' / '1234'}",
        f"{setting} was 0, is 50",
    ]


def test_a_temporary_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes it: a command in this process, or one that is started."""
    monkeypatch.setattr(leaks, "PATIENCE_S", 0.0)
    before = leaks.snapshot()
    fd, path = tempfile.mkstemp(prefix="own-")
    os.close(fd)
    made = subprocess.run(["mktemp", "-t", "other-XXXX"], capture_output=True, text=True, check=True)
    other = made.stdout.strip()
    left = leaks.left_behind(before)
    for name in (path, other):
        os.unlink(name)
    assert sorted(left) == sorted(f"temporary file {os.path.basename(name)}" for name in (path, other))
    assert leaks.left_behind(before) == []


def test_another_programs_live_run_is_not_a_leak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "PATIENCE_S", 0.0)
    monkeypatch.setattr(leaks, "STATE", tmp_path / "state")
    monkeypatch.setattr(leaks, "NETNS", tmp_path / "netns")
    before = leaks.snapshot()
    run = tmp_path / "state" / "abcd"
    run.mkdir(parents=True)
    (tmp_path / "netns" / "pb-abcd-server").mkdir(parents=True)
    holder = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), 2); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        left = leaks.left_behind(before)
        child.communicate(b"\n")
    assert [thing.split(" (")[0] for thing in left] == [f"child process {child.pid}"]
    assert len(leaks.left_behind(before)) == 2
