"""How each kind of journal entry is undone: only what still bears our mark, and twice does no harm."""

from __future__ import annotations

import errno
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.kernel import ifstate, netns
from harness.kernel.hostfiles import HOST
from harness.kernel.proc import start_ticks
from harness.kernel.processes import end_one

_KILL_WAIT_S = 5.0
OWN = "pollbench-"
"""What the names of our control groups and of our daemons' directories begin with."""
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
    except Exception as error:  # noqa: BLE001  # a damaged entry costs itself only, whatever is wrong with it
        reason = str(error) if isinstance(error, OSError) else f"a damaged entry: {type(error).__name__}: {error}"
        return Undone(token, kind, _subject(entry)[:200], "failed", reason[:500])
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
    if not started or start_ticks(pid) != started:
        return None
    gone = True if dry_run else end_one(pid, started, signal.SIGKILL, _KILL_WAIT_S)
    if gone is False:
        raise OSError(0, f"still there {_KILL_WAIT_S:g} s after SIGKILL")
    return ("killed", "") if gone else None


def remove_group(path: Path) -> None:
    """Remove a control group of ours, ending whatever is left inside. Raises OSError: EBUSY if somebody stays."""
    deadline = time.monotonic() + _LEAVE_S
    while True:
        if (path / "cgroup.kill").exists():  # since Linux 5.14
            (path / "cgroup.kill").write_text("1")
        try:
            path.rmdir()
            return
        except OSError as error:
            # A process that has ended leaves its group a moment later.
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _removal(prefix: str, remove: Callable[[Path], object]) -> Callable[[Entry, bool], Outcome]:
    """How the making of a path is undone: only if its name is one of ours, and no link leads elsewhere."""

    def undo(entry: Entry, dry_run: bool) -> Outcome:
        path = Path(str(entry["path"]))
        if not path.name.startswith(prefix) or not path.exists() or path.is_symlink():
            return None
        if not dry_run:
            remove(path)
        return "removed", ""

    return undo


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
    "cgroup": _removal(OWN, remove_group),
    "subtree": _subtree,
    # A file that tells others of a testbed.
    "file": _removal("up-", lambda path: path.unlink(missing_ok=True)),
    "directory": _removal(OWN, shutil.rmtree),
    "interface": _interface,
}
