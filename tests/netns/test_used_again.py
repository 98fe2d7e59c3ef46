"""Names that are used again after their owner was killed: what is undone is the thing that was noted, no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness.kernel import cgroup, netns
from harness.kernel.journal import clean, open_journal
from harness.kernel.journals import STATE_DIR
from harness.kernel.undo import Undone
from harness.testbed import detached
from tests import command, experiment
from tests.command import HANGS_AFTER_S, ROOT

# Builds one thing of each kind that has a name, says under which names, and waits to be killed.
OWNER = """
import sys, time
from pathlib import Path
from harness.kernel import cgroup
from harness.kernel.journal import open_journal
from harness.testbed.namespaces import namespace, namespace_name
with open_journal(Path(sys.argv[1])) as journal, namespace("a", journal), cgroup.run_group(journal) as group:
    print(namespace_name(journal.token, "a"), group.path if group else "", flush=True)
    time.sleep(600)
"""


@contextmanager
def sleeping(*prefix: str) -> Iterator[int]:
    """A process of somebody else's, that wants to be left alone."""
    with subprocess.Popen([*prefix, "sleep", "600"]) as process:
        try:
            yield process.pid
            assert process.poll() is None, "it was ended"
        finally:
            process.kill()


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[tuple[str, Path | None]]:
    """The names of the namespace and the control group of an owner that was killed; they are there."""
    with subprocess.Popen([sys.executable, "-c", OWNER, tmp_path], stdout=subprocess.PIPE, cwd=ROOT) as owner:
        assert owner.stdout is not None
        name, _, group = owner.stdout.readline().decode().rstrip("\n").partition(" ")
        owner.kill()
    yield name, Path(group) if group else None
    clean(state=tmp_path)
    netns.remove(name)


def acts(state: Path, kind: str) -> list[Undone]:
    return [act for act in clean(state=state) if act.kind == kind]


def test_a_namespace_that_was_made_anew_is_left(killed: tuple[str, Path | None], tmp_path: Path) -> None:
    """The kernel often gives it the very inode number of the one that has gone."""
    name, _ = killed
    subprocess.run(["ip", "netns", "del", name], check=True)
    subprocess.run(["ip", "netns", "add", name], check=True)
    with sleeping("ip", "netns", "exec", name):
        dry = [act for act in clean(dry_run=True, state=tmp_path) if act.kind == "netns"]
        done = acts(tmp_path, "netns")
        assert [act.action for act in (*dry, *done)] == ["left", "left"]
        assert "somebody has used its name since" in done[0].reason and done[0].subject == name
        assert name in netns.names()
    assert clean(state=tmp_path) == [], "it is told once"


def test_an_inode_number_alone_does_not_make_it_the_same(killed: tuple[str, Path | None], tmp_path: Path) -> None:
    """Until the kernel gives the number again, or a bound is reached: then there is nothing to tell them by."""
    name, _ = killed
    before = os.stat(netns.path_of(name)).st_ino
    subprocess.run(["ip", "netns", "del", name], check=True)
    deadline = time.monotonic() + HANGS_AFTER_S
    with ExitStack() as stack:
        while True:
            number = os.fstat(fd := os.open(_another(stack), os.O_RDONLY)).st_ino
            os.close(fd)
            if number == before:
                break
            if len(netns.names()) > 200 or time.monotonic() > deadline:
                pytest.skip("this kernel does not give the number again soon")
        same = next(other for other in netns.names() if os.stat(netns.path_of(other)).st_ino == before)
        # Under the old name too: now the number is the same and the name is.
        os.close(netns.adopt(name, netns.path_of(same)))
        assert [act.action for act in acts(tmp_path, "netns")] == ["left"]
        assert name in netns.names()


def _another(stack: ExitStack) -> str:
    name = f"pbtest-{os.getpid()}-{len(netns.names())}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    stack.callback(netns.remove, name)
    return netns.path_of(name)


def test_a_control_group_that_was_made_anew_is_left(killed: tuple[str, Path | None], tmp_path: Path) -> None:
    _, group = killed
    if group is None:
        pytest.skip("no control groups of version 2 here")
    group.rmdir()
    group.mkdir()
    try:
        with sleeping() as pid:
            (group / "cgroup.procs").write_text(str(pid))
            assert [act.action for act in acts(tmp_path, "cgroup")] == ["left"]
            assert str(pid) in (group / "cgroup.procs").read_text().split()
            (group.parent / "cgroup.procs").write_text(str(pid))
    finally:
        group.rmdir()


def test_what_is_still_the_same_is_removed(killed: tuple[str, Path | None], tmp_path: Path) -> None:
    name, group = killed
    assert {act.action for act in clean(state=tmp_path)} == {"removed"}
    assert name not in netns.names() and (group is None or not group.exists())


def test_a_testbed_of_the_name_of_a_killed_one_can_still_be_ended(tmp_path: Path) -> None:
    path, name = experiment.write(tmp_path), f"again-{os.getpid()}"
    assert command.run("up", path, "--name", name).returncode == 0
    first = detached.chosen(name)
    os.kill(first.pid, signal.SIGKILL)
    while any(held.pid == first.pid for held in detached.all_held()):
        time.sleep(0.01)
    assert command.run("up", path, "--name", name).returncode == 0
    second = detached.chosen(name)
    try:
        done = command.run("clean")
        assert done.returncode == 0 and second.pid != first.pid
        (line,) = [line for line in done.stdout.splitlines() if f"up-{name}.json" in line]
        assert line.startswith("left file") and "used its name since" in line
        assert not [node for node in first.nodes.values() if os.path.exists(node)]
        assert [node for node in second.nodes.values() if os.path.exists(node)] == list(second.nodes.values())
        assert detached.chosen(name) == second
    finally:
        ended = command.run("down", name)
    assert (ended.returncode, ended.stdout) == (0, f"{name}: down\n")
    assert not (STATE_DIR / second.token).exists()


def test_what_an_owner_removes_itself_is_its_own_too() -> None:
    """Not after a kill only: somebody takes the name away from a live owner, and uses it."""
    from harness.testbed.namespaces import namespace, namespace_name

    with open_journal() as journal:
        name = namespace_name(journal.token, "a")
        with namespace("a", journal), cgroup.run_group(journal):
            subprocess.run(["ip", "netns", "del", name], check=True)
            subprocess.run(["ip", "netns", "add", name], check=True)
        try:
            assert name in netns.names()
        finally:
            netns.remove(name)
