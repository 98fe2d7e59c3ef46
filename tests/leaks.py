"""What a test could leave on the host, looked at before and after it; cheap enough for every test."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import command, lanes

NETNS = Path("/run/netns")
STATE = Path("/run/pollbench")
# Settings of the whole host that knobs write, and that no namespace hides from other programs.
HOST_SETTINGS = ("/proc/sys/net/core/busy_read", "/proc/sys/net/core/busy_poll")
OWN_CGROUPS = "pollbench"
# A child told to stop, or a namespace that the kernel takes down, may need a moment after the test's end.
PATIENCE_S = 0.5

# The directory for temporary files of this process and of what it starts; None outside own_temporary_directory().
_temporary: Path | None = None


@dataclass(frozen=True)
class Snapshot:
    """Everything a test may not change, as comparable values."""

    things: frozenset[str]
    settings: tuple[tuple[str, str], ...]


@contextlib.contextmanager
def own_temporary_directory() -> Iterator[None]:
    """A block with a directory for temporary files of its own, in which a leak is seen, and then removed."""
    global _temporary
    # Whose it is, is in its name: tests/remains.py removes that of a session that was killed.
    with tempfile.TemporaryDirectory(prefix=f"pbtest-{os.getpid()}-", ignore_cleanup_errors=True) as made:
        found, tempfile.tempdir, _temporary = os.environ.get("TMPDIR"), made, Path(made)
        os.environ["TMPDIR"] = made
        # As the common one: programs of other users come here, too.
        _temporary.chmod(0o1777)
        try:
            yield
        finally:
            tempfile.tempdir = _temporary = None
            del os.environ["TMPDIR"]
            os.environ.update({} if found is None else {"TMPDIR": found})


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _mounts(pid: str) -> str:
    """The mount namespace of a process: control groups are seen in all of them, what tells whose they are is not."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return "unreadable"


def _children() -> list[str]:
    """Every child of this process, living or waiting to be reaped, as "PID NAME"; not the one that forks commands."""
    pids: list[str] = []
    for task in _names(Path("/proc/self/task")):
        listed = _read(f"/proc/self/task/{task}/children")
        pids += [] if listed == "unreadable" else listed.split()
    return [f"{pid} ({_read(f'/proc/{pid}/comm')})" for pid in pids if int(pid) != command.server_pid()]


def snapshot() -> Snapshot:
    """Look at the host now."""
    things = [f"network namespace {name}" for name in _names(NETNS)]
    # Not of /sys, which shows the namespace in which it was mounted, not ours.
    things += [f"interface {name}" for _, name in socket.if_nameindex()]
    things += [f"child process {child}" for child in _children()]
    things += [f"state {STATE / name}" for name in _names(STATE) if (STATE / name).is_dir()]
    things += [f"temporary file {name}" for name in _names(_temporary)] if _temporary else []
    # Else those that are seen are of the worker that runs the tests on real links, or of another session's.
    if not lanes.is_isolated() and _mounts("self") == _mounts("1"):
        for top in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
            things += [f"cgroup {name}" for name in _names(top) if name.startswith(OWN_CGROUPS)]
    # A test that enters a namespace must come back out of it.
    settings = [("network namespace of this thread", os.readlink("/proc/thread-self/ns/net"))]
    settings += [(path, _read(path)) for path in HOST_SETTINGS]
    return Snapshot(frozenset(things), tuple(settings))


def _difference(before: Snapshot, now: Snapshot) -> list[str]:
    found = dict(before.settings)
    changed = [f"{key} was {found[key]}, is {value}" for key, value in now.settings if found[key] != value]
    new = sorted(now.things - before.things)
    if new:
        others = _live_tokens_of_others()
        new = [thing for thing in new if not any(token in thing for token in others)]
        new = [thing for thing in new if not _of_another_session(thing)]
    gone = sorted(thing for thing in before.things - now.things if thing.startswith("interface "))
    return new + [f"{thing} is gone" for thing in gone] + changed


def _of_another_session(thing: str) -> bool:
    """Is this a namespace that the tests of another live process made (pbtest-PID-...)?"""
    found = re.search(r"\bpbtest-(\d+)-", thing)
    return found is not None and int(found[1]) != os.getpid() and Path(f"/proc/{found[1]}").exists()


def _live_tokens_of_others() -> list[str]:
    """Tokens of pollbench runs whose lock another process holds: theirs to remove, no fault of a test."""
    own = {str(os.getpid())}
    holders = {}
    for line in _read("/proc/locks").splitlines():
        fields = line.split()  # 1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE START END
        if len(fields) >= 6 and fields[1] == "FLOCK":
            holders[fields[5].rsplit(":", 1)[1]] = fields[4]
    tokens = []
    for name in _names(STATE):
        inside = [STATE / name, *(STATE / name / entry for entry in _names(STATE / name))]
        for path in inside:
            try:
                holder = holders.get(str(path.stat().st_ino))
            except OSError:
                continue
            if holder is not None and holder not in own:
                tokens.append(name)
    return tokens


def left_behind(before: Snapshot) -> list[str]:
    """What differs from `before`, in words; empty when the host is as it was found."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        left = _difference(before, snapshot())
        if not left or time.monotonic() > deadline:
            return [thing + _what_it_does(thing) for thing in left]
        time.sleep(0.01)


def _what_it_does(thing: str) -> str:
    """Of a child process its state and its command line, by which one can tell whose it is; else ""."""
    found = re.match(r"child process (\d+) ", thing)
    if found is None:
        return ""
    state = re.search(r"^State:\t(\S)", _read(f"/proc/{found[1]}/status"), re.MULTILINE)
    words = _read(f"/proc/{found[1]}/cmdline").replace("\0", " ").strip()
    return f", {state[1] if state else 'gone'}: {words[:200]}"
