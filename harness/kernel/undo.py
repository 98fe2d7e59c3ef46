"""How each kind of journal entry is undone: only what still bears our mark, and twice does no harm."""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.kernel import ifstate, netns
from harness.kernel.hostfiles import HOST
from harness.kernel.proc import start_ticks

_KILL_WAIT_MS = 5000
_OWN_GROUP = "pollbench-"
_OWN_FILE = "up-"
_LEAVE_S = 1.0


class Undone(NamedTuple):
    """One act of cleaning. action: removed, restored, killed ("would ..." in a dry run), left, failed."""

    token: str
    kind: str
    subject: str
    action: str
    reason: str = ""

    def line(self) -> str:
        """The act in words: "removed netns pb-1a2b3c-server"."""
        return f"{self.action} {self.kind} {self.subject}" + (f": {self.reason}" if self.reason else "")


Entry = Mapping[str, Any]
Outcome = tuple[str, str] | None
"""(action, reason); None: there is nothing (left) to do."""


def undo(token: str, entry: Entry, dry_run: bool) -> Undone | None:
    """Undo one entry; None when there is nothing (left) to do. Never raises: a failure is an outcome."""
    kind = str(entry["kind"])
    if kind not in _KINDS:
        return None
    try:
        outcome = _KINDS[kind](entry, dry_run)
    except (OSError, KeyError, TypeError, ValueError) as error:
        return Undone(token, kind, _subject(entry), "failed", str(error))
    if outcome is None:
        return None
    action, reason = outcome
    if dry_run and action != "left":
        action = {"removed": "would remove", "restored": "would restore", "killed": "would kill"}[action]
    return Undone(token, kind, _subject(entry), action, reason)


def restore_value(path: str, before: str, wrote: str, dry_run: bool = False) -> Outcome:
    """Write `before` back while the file still reads `wrote`."""
    try:
        now = HOST.read(path)
    except FileNotFoundError:
        return None
    if now == before:
        return None
    if now != wrote:
        return "left", f"it reads {now}, which we did not write (found {before}, wrote {wrote})"
    if not dry_run:
        HOST.write(path, before)
    return "restored", f"from {now} to {before}"


def _netns(entry: Entry, dry_run: bool) -> Outcome:
    name = str(entry["name"])
    if "/" in name or name not in netns.names():
        return None
    if not dry_run:
        netns.remove(name)
    return "removed", ""


def _value(entry: Entry, dry_run: bool) -> Outcome:
    return restore_value(str(entry["path"]), str(entry["found"]), str(entry["wrote"]), dry_run)


def _process(entry: Entry, dry_run: bool) -> Outcome:
    """Kill the process that was noted, and no other that has come by its number since."""
    pid, started = int(entry["pid"]), int(entry["start_ticks"])
    try:
        # First the descriptor, then the look: from here on the number cannot change hands unnoticed.
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        if not started or start_ticks(pid) != started:
            return None
        if not dry_run:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            if not poll.poll(_KILL_WAIT_MS):
                raise OSError(0, f"still there {_KILL_WAIT_MS / 1000:g} s after SIGKILL")
        return "killed", ""
    except ProcessLookupError:
        return None
    finally:
        os.close(fd)


def _own(entry: Entry, prefix: str) -> Path | None:
    """The path of an entry, if its name is one of ours and no link leads elsewhere."""
    path = Path(str(entry["path"]))
    return path if path.name.startswith(prefix) and path.exists() and not path.is_symlink() else None


def _cgroup(entry: Entry, dry_run: bool) -> Outcome:
    path = _own(entry, _OWN_GROUP)
    if path is None:
        return None
    if not dry_run:
        remove_group(path)
    return "removed", ""


def remove_group(path: Path) -> None:
    """Remove a control group of ours, ending whatever is left inside. Raises OSError: EBUSY if somebody stays."""
    deadline = time.monotonic() + _LEAVE_S
    while True:
        if (path / "cgroup.kill").exists():  # since Linux 5.14
            (path / "cgroup.kill").write_text("1")
        try:
            os.rmdir(path)
        except OSError as error:
            # A process that has ended leaves its group a moment later.
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
            continue
        return


def _file(entry: Entry, dry_run: bool) -> Outcome:
    """Remove a file that tells others of a testbed."""
    path = _own(entry, _OWN_FILE)
    if path is None:
        return None
    if not dry_run:
        path.unlink(missing_ok=True)
    return "removed", ""


def _directory(entry: Entry, dry_run: bool) -> Outcome:
    """Remove a directory of a daemon of ours, with what is in it."""
    path = _own(entry, _OWN_GROUP)
    if path is None:
        return None
    if not dry_run:
        shutil.rmtree(path)
    return "removed", ""


def _interface(entry: Entry, dry_run: bool) -> Outcome:
    """Take a lent interface out of our namespace, and put back what was found of it."""
    name, state = str(entry["netns"]), entry["state"]
    failures = [] if dry_run else ifstate.give_back(name, state)
    if failures:
        raise OSError(0, "; ".join(failures))
    return "restored", f"from the namespace {name}"


def _subtree(entry: Entry, dry_run: bool) -> Outcome:
    """Take back a controller that we had the root hand down."""
    path, controller = Path(str(entry["path"])), str(entry["controller"])
    if not path.exists() or controller not in path.read_text().split():
        return None
    if not dry_run:
        path.write_text(f"-{controller}")
    return "restored", f"without {controller}"


def _subject(entry: Mapping[str, Any]) -> str:
    if isinstance(entry.get("state"), Mapping):
        return str(entry["state"].get("device", "?"))
    return str(entry.get("name", entry.get("path", entry.get("pid", "?"))))


_KINDS: dict[str, Callable[[Entry, bool], Outcome]] = {
    "netns": _netns,
    "value": _value,
    "process": _process,
    "cgroup": _cgroup,
    "subtree": _subtree,
    "file": _file,
    "directory": _directory,
    "interface": _interface,
}
