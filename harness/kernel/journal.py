"""Who changed what on this host: a journal per owner, written before each act, and the host lock."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import MissingError, PollbenchError
from harness.kernel import journals, undo, values
from harness.kernel.filelock import lock_now
from harness.kernel.hostfiles import HOST
from harness.kernel.journals import JOURNAL, STATE_DIR, Entry, mutex
from harness.kernel.proc import start_ticks
from harness.kernel.undo import Undone
from harness.kernel.values import Hold

_HOST_LOCK = "lock"
FOR = "POLLBENCH_FOR"
"""The environment variable that says for whom a process works, where that is somebody on another machine."""
_FORMAT = 2
_ORPHANS_S = 5.0


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
        """Record an act BEFORE doing it; the number returned is for `identify` and `done`.

        Kinds: netns{name}, tracing{name}, file{path}, directory{path} and cgroup{path}, each with an identity;
        process{pid, start_ticks}; interface{netns, inside, state}; value, as `set_value` notes it; others are kept but
        not undone.
        """
        self._count += 1
        self._write({"n": self._count, "kind": kind, **details})
        return self._count

    def identify(self, number: int, identity: Mapping[str, int]) -> None:
        """Record what the act `number` made, where that has no numbers before it is there: see harness.kernel.identity.

        An undoing keeps to it, since the name may be another's by then.
        """
        self._write({"kind": "identity", "of": number, "identity": dict(identity)})

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
        with mutex(state):
            directory = _new_directory(state)
            fd = stack.enter_context(journals.file(directory / JOURNAL, os.O_RDWR | os.O_CREAT | os.O_APPEND))
            # Waits at most for somebody who is just looking whether we live.
            fcntl.flock(fd, fcntl.LOCK_EX)
        journal = Journal(directory, fd)
        own = {"pid": os.getpid(), "start_ticks": start_ticks(os.getpid()), "pid_namespace": _pid_namespace()}
        journal.note("owner", **own, what=_command(), format=_FORMAT)
        try:
            yield journal
        finally:
            with mutex(state):
                acts = _undo_all(directory)
            if failed := [act for act in acts if act.action == "failed"]:
                on, got = failed[0].subject, failed[0].reason
                raise PollbenchError("put the host back", on=on, got=got, todo="then type: sudo pollbench clean")


class Stale(NamedTuple):
    """A journal whose owner is dead."""

    token: str
    pid: int
    what: str


def stale(state: Path = STATE_DIR) -> list[Stale]:
    """The journals of dead owners, newest first; readable without privilege."""
    left = []
    for directory in _dead(state):
        owner = _owner(directory)
        pid, words = owner.get("pid"), str(owner.get("what", "unknown"))[:200]
        left.append(Stale(directory.name, pid if isinstance(pid, int) else 0, words))
    return left


def clean(dry_run: bool = False, state: Path = STATE_DIR) -> list[Undone]:
    """Undo what dead owners noted, newest first, each in reverse order; with dry_run only tell what would be.

    Live owners are left alone, and nothing that no journal names is touched. What cannot be undone is in
    the result with action "failed", and its journal stays; a journal that cannot be read costs itself only. Raises
    MissingError without privilege.
    """
    if not state.exists():
        return []
    _await_orphans(state)
    with contextlib.nullcontext() if dry_run else mutex(state):
        return [act for directory in _dead(state) for act in _undo_all(directory, dry_run)]


def _await_orphans(state: Path) -> None:
    """Wait, for some seconds, until no journal is kept locked by what its dead owner was just starting.

    A new process has its maker's lock until it runs its own program, which takes long where others have the CPUs.
    """
    deadline = time.monotonic() + _ORPHANS_S
    while any(map(_outlives_owner, journals.owners(state))) and time.monotonic() < deadline:
        time.sleep(0.01)


def _outlives_owner(directory: Path) -> bool:
    """Is it locked, though the process that owned it has gone? Of one in another PID namespace that cannot be seen."""
    owner = _owner(directory)
    if owner.get("pid_namespace") != _pid_namespace():
        return False
    pid, started = owner.get("pid"), owner.get("start_ticks")
    return isinstance(pid, int) and start_ticks(pid) != started and journals.is_live(directory)


def _pid_namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino


def _owner(directory: Path) -> Entry:
    """What a journal says of its owner; nothing where it was killed before it said it."""
    return next((entry for entry in journals.read(directory)[0] if entry.get("kind") == "owner"), {})


def _undo_all(directory: Path, dry_run: bool = False) -> list[Undone]:
    """Undo what a journal says, the newest first, and remove the journal unless something failed."""
    token, (entries, damaged) = directory.name, journals.read(directory)
    acts = [Undone(token, "journal", line, "left", "a damaged line") for line in damaged]
    for entry in reversed(journals.unfinished(entries)):
        act = undo.undo(token, entry, dry_run, directory.parent)
        acts += [act] if act is not None else []
        if not dry_run and "n" in entry and (act is None or act.action != "failed"):
            # At once: what is undone is not held any more, and what is asked next must know.
            journals.append(directory, {"kind": "done", "of": entry["n"]})
    if trouble := journals.unreadable(directory):
        todo = f"{trouble}; look at it, and remove {directory} by hand"
        acts.append(Undone(token, "journal", str(directory / JOURNAL), "failed", todo))
    if not dry_run and all(act.action != "failed" for act in acts):
        try:
            # What else is in it was made there for others to link to; the journal goes last.
            for path in sorted(directory.iterdir(), key=lambda path: path.name == JOURNAL):
                path.unlink(missing_ok=True)
            directory.rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            acts.append(Undone(token, "journal", str(directory), "failed", str(error)))
    return acts


def _dead(root: Path) -> Iterator[Path]:
    """The directories of dead owners, newest first."""
    return (directory for directory in journals.owners(root) if not journals.is_live(directory))


def _new_directory(root: Path) -> Path:
    """Under the mutex: nobody else makes one meanwhile."""
    while (directory := root / secrets.token_hex(3)).exists():
        continue
    directory.mkdir(mode=0o755)
    return directory


@contextlib.contextmanager
def host_lock(wait: Callable[[str], None] | None = None, state: Path = STATE_DIR) -> Iterator[None]:
    """Hold this host's lock: one measurement at a time, and one owner of the host-wide values.

    wait: called with words on the holder, again and again, while another process holds it; it is to take its time, and
    may raise. Without it, MissingError names the holder.
    """
    journals.make_state_dir(state)
    path = state / _HOST_LOCK
    with journals.file(path, os.O_RDWR | os.O_CREAT) as fd:
        while not lock_now(fd, fcntl.LOCK_EX):
            if wait is None:
                raise MissingError("take the host lock", str(path), _holder(path), "wait for it to end, or add --wait")
            wait(_holder(path))
        os.ftruncate(fd, 0)
        holder = {"pid": os.getpid(), "what": _command(), "user": _user(), "begun_s": time.time()}
        os.pwrite(fd, json.dumps(holder).encode(), 0)
        yield
        os.ftruncate(fd, 0)


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        age_s = max(0, round(time.time() - holder["begun_s"]))
        age = f"{age_s} s" if age_s < 120 else f"{age_s // 60} min" if age_s < 7200 else f"{age_s // 3600} h"
        return f"process {int(holder['pid'])} of {holder['user']} ({holder['what']}) has held it for {age}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process holds it"


class Written(NamedTuple):
    """A value that was set: what was found, and what reads back now."""

    found: str
    applied: str


@contextlib.contextmanager
def set_value(journal: Journal, path: str, value: int | str, *, at_least: bool = False) -> Iterator[Written]:
    """Set a host-wide /proc or /sys file for the block; whoever lets go last restores what the first has found.

    at_least: any larger number will do too. Restored only while it still reads what one of ours wrote: somebody else's
    later change is theirs. Raises OSError (the kernel refused), PollbenchError when it reads back otherwise than
    written.
    """
    state = journal.directory.parent
    with contextlib.ExitStack() as stack:
        with mutex(state):
            before = HOST.read(path)
            hold = _take_hold(journal, path, before, str(value), at_least)
            stack.callback(_let_go, journal, hold)
            if hold.wrote != before:
                HOST.write(path, hold.wrote)
            applied = HOST.read(path)
        if applied != hold.wrote:
            raise PollbenchError("set a host-wide value", on=path, got=f"wrote {hold.wrote}, reads {applied}")
        yield Written(before, applied)


def _take_hold(journal: Journal, path: str, now: str, value: str, least: bool) -> Hold:
    """Note that we hold the value, and what it was before anybody of ours did."""
    first = values.joined(journal.directory.parent, path, now)
    original, origin = (first.original, {"origin": first.origin}) if first else (now, {})
    wrote = str(max(int(now), int(value))) if least else value
    entry = {"path": path, "found": original, "wrote": wrote, "wants": value, "least": least} | origin
    at_ns = time.monotonic_ns()
    number = journal.note("value", at_ns=at_ns, **entry)
    return Hold.of(journal.token, {"n": number, "at_ns": at_ns, **entry}, live=True)


def _let_go(journal: Journal, hold: Hold) -> None:
    state = journal.directory.parent
    with mutex(state):
        values.let_go(state, hold)
        journal.done(hold.number)


def _user() -> str:
    """Who has this process made: whoever runs the fleet that started it, or typed sudo, or logged in."""
    names = (os.environ.get(name) for name in (FOR, "SUDO_USER", "USER", "LOGNAME"))
    return next(filter(None, names), f"user {os.getuid()}")[:100]


def _command() -> str:
    """This process in words, for whoever finds its journal or its lock."""
    command = " ".join([os.path.basename(sys.argv[0] or "python"), *sys.argv[1:]])[:200]
    return f"{command}, since {time.strftime('%H:%M:%S')}"
