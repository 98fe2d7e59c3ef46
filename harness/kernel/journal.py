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
from harness.kernel.hostfiles import HOST
from harness.kernel.proc import start_ticks
from harness.kernel.undo import Undone

STATE_DIR = Path("/run/pollbench")
_JOURNAL, _MUTEX, _HOST_LOCK = "journal", ".mutex", "lock"
_FORMAT = 1

Entry = dict[str, Any]


class Journal:
    """What one owner is about to do, one JSON line per act, in a file kept locked while the owner lives.

    `warnings` holds, in words, what was not put back because somebody else had changed it meanwhile.
    A line is one write(2), without fsync: it outlives SIGKILL, and what it tells of (namespaces, /proc
    values, processes) does not outlive a power loss any more than /run does.
    """

    def __init__(self, directory: Path, fd: int) -> None:
        self.token = directory.name
        self.directory = directory
        self.warnings: list[str] = []
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
def open_journal(state: Path | None = None) -> Iterator[Journal]:
    """A journal for the block; at its end what is noted and not done is undone, and the journal removed.

    Raises MissingError without the privilege for /run/pollbench, PollbenchError when something could not be
    undone (the journal then stays for `pollbench clean`).
    """
    root = _state_dir(state)
    with _mutex(root):
        directory = _new_directory(root)
        fd = os.open(directory / _JOURNAL, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        # Waits at most for somebody who is just looking whether we live.
        fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        journal = Journal(directory, fd)
        journal.note("owner", pid=os.getpid(), start_ticks=start_ticks(os.getpid()), what=_command(), format=_FORMAT)
        try:
            yield journal
        finally:
            _close(directory)
    finally:
        os.close(fd)


def _close(directory: Path) -> None:
    """Undo what is left, and remove the journal if nothing is."""
    entries, _ = _read(directory)
    acts = _undo_all(directory.name, entries, dry_run=False)
    if failed := [act for act in acts if act.action == "failed"]:
        raise PollbenchError(
            "put the host back", on=failed[0].subject, got=failed[0].reason, todo="then type: sudo pollbench clean"
        )
    _remove(directory)


class Stale(NamedTuple):
    """A journal whose owner is dead."""

    token: str
    pid: int
    what: str


def stale(state: Path | None = None) -> list[Stale]:
    """The journals of dead owners, newest first; readable without privilege."""
    journals = []
    for directory in _directories(STATE_DIR if state is None else state):
        if not _is_live(directory):
            entries, _ = _read(directory)
            owner = next((entry for entry in entries if entry.get("kind") == "owner"), {})
            journals.append(Stale(directory.name, int(owner.get("pid", 0)), str(owner.get("what", "unknown"))))
    return journals


def clean(dry_run: bool = False, state: Path | None = None) -> list[Undone]:
    """Undo what dead owners noted, newest first, each in reverse order; with dry_run only tell what would be.

    Live owners are left alone, and nothing that no journal names is touched. What cannot be undone is in
    the result with action "failed", and its journal stays. Raises MissingError without privilege.
    """
    root = STATE_DIR if state is None else state
    if not root.exists():
        return []
    acts: list[Undone] = []
    with contextlib.nullcontext() if dry_run else _mutex(_state_dir(state)):
        for directory in _directories(root):
            if _is_live(directory):
                continue
            entries, damaged = _read(directory)
            acts += [Undone(directory.name, "journal", line, "left", "a damaged line") for line in damaged]
            mine = _undo_all(directory.name, entries, dry_run)
            acts += mine
            if not dry_run and all(act.action != "failed" for act in mine):
                _remove(directory)
    return acts


def _undo_all(token: str, entries: list[Entry], dry_run: bool) -> list[Undone]:
    finished = {entry.get("of") for entry in entries if entry["kind"] == "done"}
    acts = (undo.undo(token, e, dry_run) for e in reversed(entries) if e.get("n") not in finished)
    return [act for act in acts if act is not None]


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


def _is_live(directory: Path) -> bool:
    """Whether the owner lives: it holds the lock, which the kernel drops with the process."""
    try:
        fd = os.open(directory / _JOURNAL, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look at the same time do not take each other for the owner.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _directories(root: Path) -> list[Path]:
    """The owners' directories, newest first."""
    try:
        directories = [path for path in root.iterdir() if path.is_dir() and not path.is_symlink()]
    except FileNotFoundError:
        return []
    return sorted(directories, key=lambda path: path.stat().st_ctime_ns, reverse=True)


def _remove(directory: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        (directory / _JOURNAL).unlink()
    with contextlib.suppress(FileNotFoundError):
        directory.rmdir()


def _new_directory(root: Path) -> Path:
    while True:
        directory = root / secrets.token_hex(3)
        try:
            directory.mkdir(mode=0o755)
        except FileExistsError:
            continue
        return directory


def _state_dir(state: Path | None) -> Path:
    root = STATE_DIR if state is None else state
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
    return root


@contextlib.contextmanager
def _mutex(root: Path) -> Iterator[None]:
    """One at a time makes or removes journals: a new one, not yet locked, would look like a dead one."""
    fd = os.open(root / _MUTEX, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def host_lock(wait: Callable[[str], None] | None = None, state: Path | None = None) -> Iterator[None]:
    """Hold this host's lock: one measurement at a time, and one owner of the host-wide values.

    wait: called with words on the holder, again and again, while another process holds it; it is to take its time, and
    may raise. Without it, MissingError names the holder.
    """
    path = _state_dir(state) / _HOST_LOCK
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while not _lock_now(fd):
            if wait is None:
                raise MissingError("take the host lock", str(path), _holder(path), "wait for it to end, or add --wait")
            wait(_holder(path))
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps({"pid": os.getpid(), "what": _command()}).encode(), 0)
        yield
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def _lock_now(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        return f"process {int(holder['pid'])} ({holder['what']}) holds it"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process holds it"


class HostValue(NamedTuple):
    """A host-wide value for a while: what was found, and what reads back now."""

    path: str
    found: str
    applied: str


@contextlib.contextmanager
def set_value(journal: Journal, path: str, value: int | str) -> Iterator[HostValue]:
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
        yield HostValue(path, before, applied)
    finally:
        outcome = undo.restore_value(path, before, wrote)
        if outcome is not None and outcome[0] == "left":
            journal.warnings.append(f"{path}: left as it is, {outcome[1]}")
        journal.done(number)


def _command() -> str:
    """This process in words, for whoever finds its journal or its lock."""
    command = " ".join([os.path.basename(sys.argv[0] or "python"), *sys.argv[1:]])[:200]
    return f"{command}, since {time.strftime('%H:%M:%S')}"
