"""How each kind of journal entry is undone: only what still bears our mark, and twice does no harm."""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import time
from collections.abc import Mapping
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
        """The act in words."""
        return f"{self.action} {self.kind} {self.subject}" + (f": {self.reason}" if self.reason else "")


def undo(token: str, entry: Mapping[str, Any], dry_run: bool) -> Undone | None:
    """Undo one entry; None when there is nothing (left) to do. Never raises: a failure is an outcome."""
    kinds = {
        "netns": _netns,
        "value": _value,
        "process": _process,
        "cgroup": _cgroup,
        "subtree": _subtree,
        "file": _file,
        "directory": _directory,
        "interface": _interface,
    }
    kind = str(entry["kind"])
    if kind not in kinds:
        return None
    try:
        outcome = kinds[kind](entry, dry_run)
    except (OSError, KeyError, TypeError, ValueError) as error:
        return Undone(token, kind, _subject(entry), "failed", str(error))
    if outcome is None:
        return None
    action, reason = outcome
    if dry_run and action != "left":
        action = {"removed": "would remove", "restored": "would restore", "killed": "would kill"}[action]
    return Undone(token, kind, _subject(entry), action, reason)


def restore_value(path: str, found: str, wrote: str, dry_run: bool = False) -> tuple[str, str] | None:
    """Write `found` back while the file still reads `wrote`. (action, reason); None: nothing to do."""
    try:
        now = HOST.read(path)
    except FileNotFoundError:
        return None
    if now == found:
        return None
    if now != wrote:
        return "left", f"it reads {now}, which we did not write (found {found}, wrote {wrote})"
    if not dry_run:
        HOST.write(path, found)
    return "restored", f"from {now} to {found}"


def _netns(entry: Mapping[str, Any], dry_run: bool) -> tuple[str, str] | None:
    name = str(entry["name"])
    if "/" in name or name not in netns.names():
        return None
    if not dry_run:
        netns.remove(name)
    return "removed", ""


def _value(entry: Mapping[str, Any], dry_run: bool) -> tuple[str, str] | None:
    return restore_value(str(entry["path"]), str(entry["found"]), str(entry["wrote"]), dry_run)


def _process(entry: Mapping[str, Any], dry_run: bool) -> tuple[str, str] | None:
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


def _cgroup(entry: Mapping[str, Any], dry_run: bool) -> tuple[str, str] | None:
    path = Path(str(entry["path"]))
    if not path.name.startswith(_OWN_GROUP) or not path.is_dir():
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


def _file(entry: Mapping[str, Any], dry_run: bool) -> tuple[str, str] | None:
    """Remove a file that tells others of a testbed; only what is named as ours are."""
    path = Path(str(entry["path"]))
    if not path.name.startswith(_OWN_FILE) or not path.is_file():
        return None
    if not dry_run:
        path.unlink(missing_ok=True)
    return "removed", ""


def _directory(entry: Mapping[str, Any], dry_run: bool) -> tuple[str, str] | None:
    """Remove a directory of a daemon of ours, with what is in it."""
    path = Path(str(entry["path"]))
    if not path.name.startswith(_OWN_GROUP) or not path.is_dir() or path.is_symlink():
        return None
    if not dry_run:
        shutil.rmtree(path)
    return "removed", ""


def _interface(entry: Mapping[str, Any], dry_run: bool) -> tuple[str, str] | None:
    """Take a lent interface out of our namespace, and put back what was found of it."""
    name, state = str(entry["netns"]), entry["state"]
    if dry_run:
        return "restored", f"from the namespace {name}"
    wrong = ifstate.give_back(name, state)
    if wrong:
        raise OSError(0, "; ".join(wrong))
    return "restored", f"from the namespace {name}"


def _subtree(entry: Mapping[str, Any], dry_run: bool) -> tuple[str, str] | None:
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
