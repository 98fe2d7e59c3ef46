"""A server that puts its work into the background: whatever descends from a run ends with it, killed or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.kernel.journal import clean
from tests import command, experiment
from tests.command import HANGS_AFTER_S

# Forks twice, in a session of its own each time, so that nobody's child, group or terminal leads to it; then says so.
DAEMON = """
import os, socket, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid() if os.getpid() != os.getsid(0) else None
        for fd in range(3):
            os.close(fd)
        with open(sys.argv[1], "w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)
        os._exit(0)
    os._exit(0)
while not os.path.exists(sys.argv[1]) or not open(sys.argv[1]).read():
    time.sleep(0.01)
print("serving", flush=True)
time.sleep(600)
"""


def workload(tmp_path: Path, client: str) -> dict[str, Any]:
    script = tmp_path / "daemon.py"
    script.write_text(DAEMON)
    return {
        "kind": "command", "from": "client", "to": "server", "warmup": "10ms", "duration": "100ms",
        "server": [sys.executable, str(script), str(tmp_path / "pid")], "ready": "serving", "client": client,
        "timeout": "300s", "figures": {"requests": {"regex": "did (\\d+)"}},
    }  # fmt: skip


def started(tmp_path: Path) -> int:
    """The daemon's process, once it is there."""
    deadline = time.monotonic() + HANGS_AFTER_S
    while not (tmp_path / "pid").exists() or not (text := (tmp_path / "pid").read_text()):
        assert time.monotonic() < deadline, "the daemon never started"
        time.sleep(0.01)
    return int(text)


def is_there(pid: int) -> bool:
    """Does it live? It has no parent of ours, so that it may wait for a moment to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_daemon_outlives_neither_a_killed_run_nor_its_clean(tmp_path: Path) -> None:
    path = experiment.write(tmp_path, workload=workload(tmp_path, "sleep 250"))
    process = command.start("run", path, "-o", tmp_path / "out", start_new_session=True)
    daemon = started(tmp_path)
    try:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert is_there(daemon), "else clean would have nothing to find"
        done = command.run("clean")
        assert (done.returncode, is_there(daemon)) == (0, False), done.stdout + done.stderr
        (line,) = [line for line in done.stdout.splitlines() if str(daemon) in line]
        assert "with what ran in it" in line
    finally:
        if is_there(daemon):
            os.kill(daemon, signal.SIGKILL)


def test_a_daemon_ends_with_its_run(tmp_path: Path) -> None:
    path = experiment.write(tmp_path, workload=workload(tmp_path, "echo did 5"))
    done = command.run("run", path, "-o", tmp_path / "out")
    daemon = started(tmp_path)
    left = is_there(daemon)
    if left:
        os.kill(daemon, signal.SIGKILL)
    assert (done.returncode in (0, 1), left) == (True, False), done.stdout + done.stderr


# A run whose host has no control groups of version 2; what its server leaves behind has lost every parent of ours.
UNGROUPED = """
import sys
from harness.kernel import cgroup
def without(controllers, files=None):
    raise OSError(2, "cgroup v2 is not mounted")
cgroup.require = without
from harness.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("server", ["lives", "dies"])
def test_a_daemon_ends_with_its_run_without_control_groups(tmp_path: Path, server: str) -> None:
    spoken = workload(tmp_path, "echo did 5")
    if server == "dies":
        own, sleep, _ = DAEMON.rpartition("time.sleep(600)")
        (tmp_path / "daemon.py").write_text(own + sleep.replace("time.sleep(600)", "os.kill(os.getpid(), 9)"))
    path = experiment.write(tmp_path, workload=spoken)
    words = [sys.executable, "-c", UNGROUPED, "run", str(path), "-o", str(tmp_path / "out")]
    done = subprocess.run(words, cwd=command.ROOT, capture_output=True, text=True, check=False, timeout=HANGS_AFTER_S)
    daemon = started(tmp_path)
    left = is_there(daemon)
    if left:
        os.kill(daemon, signal.SIGKILL)
    assert (done.returncode in (0, 1), left) == (True, False), done.stdout + done.stderr
    assert (": failed" in done.stderr) == (server == "dies")


# Holds a testbed and lets a program loose in it that no control group of ours has.
OWNER = """
import sys, time, subprocess
from pathlib import Path
from harness.kernel.journal import open_journal
from harness.testbed import open_testbed
from tests.beds import pair
with open_journal(Path(sys.argv[1])) as journal, open_testbed(pair(), napi=False, journal=journal) as testbed:
    name = testbed.nodes["a"].netns
    subprocess.run(["ip", "netns", "exec", name, sys.executable, sys.argv[2], sys.argv[3]], timeout=600)
"""


def test_programs_without_a_group_are_found_by_their_namespace(tmp_path: Path) -> None:
    """Also when the namespace has no name any more: then nobody else can find them either."""
    script = tmp_path / "daemon.py"
    script.write_text(DAEMON)
    state = tmp_path / "state"
    words = [sys.executable, "-c", OWNER, str(state), str(script), str(tmp_path / "pid")]
    with subprocess.Popen(words, cwd=command.ROOT) as owner:
        daemon = started(tmp_path)
        inode = os.stat(f"/proc/{daemon}/ns/net").st_ino
        owner.kill()
    try:
        names = [name for name in os.listdir("/run/netns") if os.stat(f"/run/netns/{name}").st_ino == inode]
        subprocess.run(["ip", "netns", "del", *names], check=True)
        would = clean(dry_run=True, state=state)
        assert is_there(daemon) and any(str(daemon) in act.reason for act in would)
        done = [act for act in clean(state=state) if str(daemon) in act.reason]
        assert ([act.action for act in done], is_there(daemon)) == (["killed"], False)
        assert "had no name any more" in done[0].reason
    finally:
        if is_there(daemon):
            os.kill(daemon, signal.SIGKILL)


def test_clean_typed_in_the_namespace_itself_says_so(tmp_path: Path) -> None:
    """It ends neither itself nor the shell in which it was typed, and says what is left."""
    state, words = tmp_path / "state", "from harness.kernel.journal import clean; import sys; from pathlib import Path"
    words += "\nfor act in clean(state=Path(sys.argv[1])): print(act.line())"
    code = OWNER.partition("    subprocess")[0] + "    print(name, flush=True); time.sleep(600)"
    command_line = [sys.executable, "-c", code, str(state)]
    with subprocess.Popen(command_line, cwd=command.ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        name = owner.stdout.readline().strip()
        owner.kill()
    inside = ["ip", "netns", "exec", name, sys.executable, "-c", words, str(state)]
    answer = subprocess.run(inside, cwd=command.ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert f"failed netns {name}" in answer.stdout and "leave the namespace, and clean again" in answer.stdout
    assert {act.action for act in clean(state=state)} == {"removed"}
