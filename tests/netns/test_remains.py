"""A test run that is ended leaves nothing on the host; what a killed one left, the next one removes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from harness.kernel import netns
from tests import remains

ROOT = Path(__file__).parents[2]
_TEST = """
import os, subprocess, time
import pytest

@pytest.fixture
def made():
    name = f"pbtest-{os.getpid()}-made"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)

def test_waits(made):
    print("made", made, flush=True)
    time.sleep(60)
"""


def run_of_tests(tmp_path: Path, number: signal.Signals) -> str:
    """Start a test run, end it by a signal in the middle of a test, and return the namespace that the test had made."""
    (tmp_path / "conftest.py").write_text("from tests import remains\n\nremains.end_as_by_ctrl_c()\n")
    (tmp_path / "test_it.py").write_text(_TEST)
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-s",
        "-p",
        "no:cacheprovider",
        f"--rootdir={tmp_path}",
        str(tmp_path),
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        name = next(line.split()[1] for line in process.stdout if line.startswith("made"))
        process.send_signal(number)
    return name


def test_a_run_of_tests_that_is_told_to_end_takes_down_what_it_made(tmp_path: Path) -> None:
    assert run_of_tests(tmp_path, signal.SIGTERM) not in netns.names()


def test_what_a_killed_run_of_tests_left_is_swept_by_the_next(tmp_path: Path) -> None:
    name = run_of_tests(tmp_path, signal.SIGKILL)
    mine = f"pbtest-{os.getpid()}-mine"
    subprocess.run(["ip", "netns", "add", mine], check=True)
    left = subprocess.Popen(["ip", "netns", "exec", name, "sleep", "60"])
    try:
        while str(left.pid) not in subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout:
            pass
        assert name in netns.names()
        theirs, own = tmp_path / f"pbtest-{name.split('-')[1]}-it", tmp_path / f"{mine}-it"
        for directory in (theirs, own):
            (directory / "below").mkdir(parents=True)
        assert {name, theirs.name} <= set(remains.sweep(temporary=tmp_path))
        assert not theirs.exists() and own.exists(), "that of a living run stays"
        assert left.wait(10) == -signal.SIGKILL
        assert name not in netns.names() and mine in netns.names(), "that of a living run stays"
    finally:
        left.kill()
        subprocess.run(["ip", "netns", "delete", mine], check=True)
