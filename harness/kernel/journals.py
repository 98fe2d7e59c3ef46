"""The journals of all owners on this host, read: who they are, who lives, what each has not undone yet."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import MissingError, PollbenchError
from harness.kernel.filelock import lock_now
from harness.kernel.syscalls import held

STATE_DIR = Path("/run/pollbench")
JOURNAL, _MUTEX = "journal", ".mutex"

Entry = dict[str, Any]


def read(directory: Path) -> tuple[list[Entry], list[str]]:
    """What a journal tells, each entry with the identity that was noted later, and its unreadable lines.

    A torn last line is no act: the note comes first.
    """
    if unreadable(directory):
        return [], []
    try:
        text = (directory / JOURNAL).read_text(errors="replace")
    except OSError:
        return [], []
    entries: list[Entry] = []
    damaged: list[str] = []
    *lines, _torn = text.split("\n")
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if isinstance(entry, dict) and _is_entry(entry):
            entries.append(entry)
        else:
            damaged.append(line[:200])
    return _identified(entries), damaged


def unreadable(directory: Path) -> str:
    """Why its journal cannot be read, in words; "" where it can, or where there is none."""
    try:
        return "" if stat.S_ISREG((directory / JOURNAL).lstat().st_mode) else "it is no file of ours"
    except FileNotFoundError:
        return ""
    except OSError as error:
        return str(error)


def _is_entry(entry: Entry) -> bool:
    """Has it a kind and whole numbers where there are numbers? What its kind says of itself, undoing it looks at."""
    if not isinstance(entry.get("kind"), str):
        return False
    numbers = [entry[key] for key in ("n", "of") if key in entry]
    return all(isinstance(number, int) for number in numbers) and (entry["kind"] != "done" or "of" in entry)


def _identified(entries: list[Entry]) -> list[Entry]:
    """Entries of acts whose object had no numbers before it was made get them from the line that followed."""
    numbers = {entry.get("of"): entry.get("identity") for entry in entries if entry["kind"] == "identity"}
    kept = [entry for entry in entries if entry["kind"] != "identity"]
    return [entry | {"identity": numbers[entry["n"]]} if entry.get("n") in numbers else entry for entry in kept]


def unfinished(entries: list[Entry]) -> list[Entry]:
    """The acts that nobody has undone yet, in their order."""
    finished = {entry.get("of") for entry in entries if entry["kind"] == "done"}
    return [entry for entry in entries if "n" not in entry or entry["n"] not in finished]


def append(directory: Path, entry: Entry) -> None:
    """Add a line to a journal: one write(2). Raises OSError."""
    with file(directory / JOURNAL, os.O_WRONLY | os.O_APPEND) as fd:
        os.write(fd, json.dumps(entry).encode() + b"\n")


def owners(root: Path) -> list[Path]:
    """The directories of all owners, dead or alive, newest first."""
    changed: dict[Path, int] = {}
    for path in root.iterdir() if root.exists() else ():
        # Without the mutex, an owner may remove its own meanwhile.
        with contextlib.suppress(FileNotFoundError):
            state = path.lstat()
            if stat.S_ISDIR(state.st_mode):
                changed[path] = state.st_ctime_ns
    return sorted(changed, key=changed.__getitem__, reverse=True)


def is_live(directory: Path) -> bool:
    """Whether the owner lives: it holds the lock, which the kernel drops with the process."""
    if unreadable(directory):
        return False
    try:
        with file(directory / JOURNAL, os.O_RDONLY | os.O_NONBLOCK) as fd:
            # Shared, so that two who look at the same time do not take each other for the owner.
            return not lock_now(fd, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def mutex(root: Path) -> Iterator[None]:
    """One at a time makes or removes journals, or changes what several may hold.

    A new journal, not yet locked, would look like a dead one.
    """
    make_state_dir(root)
    with file(root / _MUTEX, os.O_RDWR | os.O_CREAT) as fd:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield


def make_state_dir(root: Path) -> None:
    """Make the directory of all journals. Raises MissingError without privilege, PollbenchError: somebody else's."""
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


def file(path: Path, flags: int) -> contextlib.AbstractContextManager[int]:
    """A descriptor for a block. Raises OSError; a symbolic link in its place is not followed."""
    return held(os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644))
