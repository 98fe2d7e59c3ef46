"""Who changed what on this host: a journal per owner, written before each act, and the host lock."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import MissingError, PollbenchError
from harness.kernel import undo
from harness.kernel.filelock import lock_now
from harness.kernel.hostfiles import HOST
from harness.kernel.proc import start_ticks
from harness.kernel.syscalls import held
from harness.kernel.undo import Undone

STATE_DIR = Path("/run/pollbench")
_JOURNAL, _MUTEX, _HOST_LOCK = "journal", ".mutex", "lock"
_FORMAT = 1

Entry = dict[str, Any]


class Journal:
    """What one owner is about to do, one JSON line per act, in a file kept locked while the owner lives.

    A line is one write(2), without fsync: it outlives SIGKILL, and what it tells of (namespaces, /proc values,
    processes) does not outlive a power loss any more than /run does.
    """

    def __init__(self, directory: Path, fd: int) -> None:
        self.token = directory.name
        self.directory = directory
        self._fd = fd
        self._count = 0

    def note(self, kind: str, **details: Any) -> int:
        """Record an act BEFORE doing it; the number returned is for `done`.

        Kinds: netns{name}; value{path, found, wrote}; process{pid, start_ticks}; file{path};
        directory{path}; others are kept but not undone.
        """
        self._count += 1
        self._write({"n": self._count, "kind": kind, **details})
        return self._count

    def done(self, number: int) -> None:
        """Record that the act `number` has been undone: nobody needs to look at it again."""
        self._write({"kind": "done", "of": number})

    def _write(self, entry: Entry) -> None:
        os.write(self._fd, json.dumps(entry).encode() + b"\n")


@contextlib.contextmanager
def open_journal(state: Path = STATE_DIR) -> Iterator[Journal]:
    """A journal for the block; at its end what is noted and not done is undone, and the journal removed.

    Raises MissingError without the privilege for /run/pollbench, PollbenchError when something could not be undone (the
    journal then stays for `pollbench clean`).
    """
    with contextlib.ExitStack() as stack:
        with _mutex(state):
            directory = _new_directory(state)
            fd = stack.enter_context(_file(directory / _JOURNAL, os.O_RDWR | os.O_CREAT | os.O_APPEND))
            # Waits at most for somebody who is just looking whether we live.
            fcntl.flock(fd, fcntl.LOCK_EX)
        journal = Journal(directory, fd)
        journal.note("owner", pid=os.getpid(), start_ticks=start_ticks(os.getpid()), what=_command(), format=_FORMAT)
        try:
            yield journal
        finally:
            if failed := [act for act in _undo_all(directory) if act.action == "failed"]:
                on, got = failed[0].subject, failed[0].reason
                raise PollbenchError("put the host back", on=on, got=got, todo="then type: sudo pollbench clean")


class Stale(NamedTuple):
    """A journal whose owner is dead."""

    token: str
    pid: int
    what: str


def stale(state: Path = STATE_DIR) -> list[Stale]:
    """The journals of dead owners, newest first; readable without privilege."""
    journals = []
    for directory in _dead(state):
        owner = next((entry for entry in _read(directory)[0] if entry.get("kind") == "owner"), {})
        journals.append(Stale(directory.name, int(owner.get("pid", 0)), str(owner.get("what", "unknown"))))
    return journals


def clean(dry_run: bool = False, state: Path = STATE_DIR) -> list[Undone]:
    """Undo what dead owners noted, newest first, each in reverse order; with dry_run only tell what would be.

    Live owners are left alone, and nothing that no journal names is touched. What cannot be undone is in
    the result with action "failed", and its journal stays. Raises MissingError without privilege.
    """
    if not state.exists():
        return []
    with contextlib.nullcontext() if dry_run else _mutex(state):
        return [act for directory in _dead(state) for act in _undo_all(directory, dry_run)]


def _undo_all(directory: Path, dry_run: bool = False) -> list[Undone]:
    """Undo what a journal says, the newest first, and remove the journal unless something failed."""
    token, (entries, damaged) = directory.name, _read(directory)
    finished = {entry.get("of") for entry in entries if entry["kind"] == "done"}
    undone = (undo.undo(token, e, dry_run) for e in reversed(entries) if e.get("n") not in finished)
    acts = [Undone(token, "journal", line, "left", "a damaged line") for line in damaged]
    acts += [act for act in undone if act is not None]
    if not dry_run and all(act.action != "failed" for act in acts):
        (directory / _JOURNAL).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            directory.rmdir()
    return acts


def _read(directory: Path) -> tuple[list[Entry], list[str]]:
    """The journal's entries, and its unreadable lines. A torn last line is no act: the note comes first."""
    try:
        text = (directory / _JOURNAL).read_text(errors="replace")
    except FileNotFoundError:
        return [], []
    entries: list[Entry] = []
    damaged: list[str] = []
    *lines, _torn = text.split("\n")
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict) and isinstance(entry.get("kind"), str):
            entries.append(entry)
        else:
            damaged.append(line[:200])
    return entries, damaged


def _dead(root: Path) -> Iterator[Path]:
    """The directories of dead owners, newest first."""
    directories = [path for path in root.iterdir() if path.is_dir() and not path.is_symlink()] if root.exists() else []
    for directory in sorted(directories, key=lambda path: path.stat().st_ctime_ns, reverse=True):
        if not _is_live(directory):
            yield directory


def _is_live(directory: Path) -> bool:
    """Whether the owner lives: it holds the lock, which the kernel drops with the process."""
    try:
        with _file(directory / _JOURNAL, os.O_RDONLY) as fd:
            # Shared, so that two who look at the same time do not take each other for the owner.
            return not lock_now(fd, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def _new_directory(root: Path) -> Path:
    """Under the mutex: nobody else makes one meanwhile."""
    while (directory := root / secrets.token_hex(3)).exists():
        continue
    directory.mkdir(mode=0o755)
    return directory


def _make_state_dir(root: Path) -> None:
    try:
        root.mkdir(mode=0o755, exist_ok=True)
        if not os.access(root, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except PermissionError as error:
        raise MissingError(
            "write the journal", on=str(root), got=str(error.strerror), todo="run it as root: put sudo before it"
        ) from None
    if root.is_symlink() or root.stat().st_uid != os.geteuid():
        raise PollbenchError("write the journal", on=str(root), got="it belongs to somebody else", todo="remove it")


@contextlib.contextmanager
def _mutex(root: Path) -> Iterator[None]:
    """One at a time makes or removes journals: a new one, not yet locked, would look like a dead one."""
    _make_state_dir(root)
    with _file(root / _MUTEX, os.O_RDWR | os.O_CREAT) as fd:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def host_lock(wait: Callable[[str], None] | None = None, state: Path = STATE_DIR) -> Iterator[None]:
    """Hold this host's lock: one measurement at a time, and one owner of the host-wide values.

    wait: called with words on the holder, again and again, while another process holds it; it is to take its time, and
    may raise. Without it, MissingError names the holder.
    """
    _make_state_dir(state)
    path = state / _HOST_LOCK
    with _file(path, os.O_RDWR | os.O_CREAT) as fd:
        while not lock_now(fd, fcntl.LOCK_EX):
            if wait is None:
                raise MissingError("take the host lock", str(path), _holder(path), "wait for it to end, or add --wait")
            wait(_holder(path))
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps({"pid": os.getpid(), "what": _command()}).encode(), 0)
        yield
        os.ftruncate(fd, 0)


def _file(path: Path, flags: int) -> contextlib.AbstractContextManager[int]:
    """A descriptor for a block."""
    return held(os.open(path, flags | os.O_CLOEXEC, 0o644))


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        return f"process {int(holder['pid'])} ({holder['what']}) holds it"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process holds it"


class Written(NamedTuple):
    """A value that was set: what was found, and what reads back now."""

    found: str
    applied: str


@contextlib.contextmanager
def set_value(journal: Journal, path: str, value: int | str) -> Iterator[Written]:
    """Set a host-wide /proc or /sys file for the block, then restore what was found.

    Restored only while it still reads what we wrote: somebody else's later change is theirs. Raises OSError
    (the kernel refused), PollbenchError when it reads back otherwise than written.
    """
    before, wrote = HOST.read(path), str(value)
    number = journal.note("value", path=path, found=before, wrote=wrote)
    try:
        HOST.write(path, wrote)
        applied = HOST.read(path)
        if applied != wrote:
            raise PollbenchError("set a host-wide value", on=path, got=f"wrote {wrote}, reads {applied}")
        yield Written(before, applied)
    finally:
        undo.restore_value(path, before, wrote)
        journal.done(number)


def _command() -> str:
    """This process in words, for whoever finds its journal or its lock."""
    command = " ".join([os.path.basename(sys.argv[0] or "python"), *sys.argv[1:]])[:200]
    return f"{command}, since {time.strftime('%H:%M:%S')}"
