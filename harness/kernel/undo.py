"""How each kind of journal entry is undone: only what is still the very thing noted, and twice does no harm."""

from __future__ import annotations

import errno
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.kernel import identity, ifstate, netns, processes, tracefs, values
from harness.kernel.journals import STATE_DIR
from harness.kernel.proc import start_ticks
from harness.kernel.values import Hold, Outcome

# To go, a killed process needs the CPU once more: beside others' real-time loops one of low priority waits for seconds.
_KILL_WAIT_S = 30.0
OWN = "pollbench-"
"""What the names of our control groups and of our daemons' directories begin with."""
_ANOTHER = "it is not the one that we made: that has gone, and somebody has used its name since"


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


class _Act(NamedTuple):
    """What an undoing knows beside its entry: whose it is, where all journals are, whether only to tell."""

    token: str
    state: Path
    dry_run: bool


def undo(token: str, entry: Entry, dry_run: bool, state: Path = STATE_DIR) -> Undone | None:
    """Undo one entry; None when there is nothing (left) to do. Never raises: a failure is an outcome."""
    kind = str(entry["kind"])
    if kind not in _KINDS:
        return None
    try:
        outcome = _KINDS[kind](entry, _Act(token, state, dry_run))
    except Exception as error:  # noqa: BLE001  # a damaged entry costs itself only, whatever is wrong with it
        reason = str(error) if isinstance(error, OSError) else f"a damaged entry: {type(error).__name__}: {error}"
        return Undone(token, kind, _subject(entry)[:200], "failed", reason[:500])
    if outcome is None:
        return None
    action, reason = outcome
    if dry_run and action != "left":
        action = {"removed": "would remove", "restored": "would restore", "killed": "would kill"}[action]
    return Undone(token, kind, _subject(entry), action, reason)


def _value(entry: Entry, act: _Act) -> Outcome:
    return values.let_go(act.state, Hold.of(act.token, dict(entry), live=False), act.dry_run)


def _process(entry: Entry, act: _Act) -> Outcome:
    """Kill the process that was noted, and no other that has come by its number since."""
    pid, started = int(entry["pid"]), int(entry["start_ticks"])
    if not started or start_ticks(pid) != started:
        return None
    gone = True if act.dry_run else processes.end_one(pid, started, signal.SIGKILL, _KILL_WAIT_S)
    if gone is False:
        raise OSError(0, f"still there {_KILL_WAIT_S:g} s after SIGKILL")
    return ("killed", "") if gone else None


def _netns(entry: Entry, act: _Act) -> Outcome:
    """End whoever is in the namespace that was noted, by whatever name, and take its name away if it has it still."""
    name, noted = str(entry["name"]), entry.get("identity")
    bound = "/" not in name and name in netns.names()
    now = identity.of_name(name) if bound else None
    if noted is None:
        return ("left", "an older pollbench did not note which one; if it is unused: ip netns del") if now else None
    inside = processes.in_namespace(noted)
    if not act.dry_run:
        end(inside)
    ended = _told(inside)
    # Bound to nothing: a name whose maker, we, was killed before it was one.
    if bound and now in (None, noted):
        if not act.dry_run:
            netns.remove(name)
        return "removed", ended
    if bound:
        return "left", _ANOTHER + (f"; {ended}" if ended else "")
    return ("killed", f"{ended}, which had no name any more") if ended else None


def end(pids: list[int]) -> None:
    """End processes, but for ourselves and who started us. Raises OSError, naming those that are left."""
    family = processes.ancestors()
    ours, others = [pid for pid in pids if pid in family], [pid for pid in pids if pid not in family]
    processes.end(others, _KILL_WAIT_S)
    if left := ours + processes.living(others):
        todo = "; leave the namespace, and clean again" if ours else ""
        raise OSError(0, f"still there: {processes.named(left)}{todo}")


def _told(pids: list[int]) -> str:
    return f"with what ran in it: {processes.named(pids)}" if pids else ""


def _cgroup(entry: Entry, act: _Act) -> Outcome:
    """End what is in a control group of ours, and remove it."""
    path = _own_path(entry, OWN)
    if path is None:
        return None
    if "identity" in entry and not identity.is_still(path, entry["identity"]):
        return "left", _ANOTHER
    inside = members(path)
    if not act.dry_run:
        if "identity" in entry:
            remove_group(path)
        else:
            # Its maker was killed before it could note which it is. An empty one does no harm by going.
            path.rmdir()
    return "removed", _told(inside)


def members(group: Path) -> list[int]:
    """The processes in a control group; none where it has gone."""
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def remove_group(path: Path) -> None:
    """Remove a control group of ours, ending whatever is left inside. Raises OSError: EBUSY if somebody stays."""
    deadline = time.monotonic() + _KILL_WAIT_S
    while True:
        if (path / "cgroup.kill").exists():  # since Linux 5.14
            (path / "cgroup.kill").write_text("1")
        else:
            processes.end(members(path), 0)
        try:
            path.rmdir()
            return
        except OSError as error:
            # A process that has ended leaves its group a moment later.
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                left = processes.named(members(path))
                raise OSError(
                    error.errno, f"{error.strerror}: still in it: {left}" if left else error.strerror
                ) from None
            time.sleep(0.01)


def _own_path(entry: Entry, prefix: str) -> Path | None:
    """The path of an entry, if its name is one of ours, it is there, and no link leads elsewhere."""
    path = Path(str(entry["path"]))
    return path if path.name.startswith(prefix) and path.exists() and not path.is_symlink() else None


def _removal(prefix: str, remove: Callable[[Path], object]) -> Callable[[Entry, _Act], Outcome]:
    """How the making of a file or directory is undone."""

    def undo(entry: Entry, act: _Act) -> Outcome:
        path = _own_path(entry, prefix)
        if path is None:
            return None
        if "identity" not in entry and not _is_empty(path):
            return "left", "its maker was killed before it noted which one it made"
        if "identity" in entry and not identity.is_still(path, entry["identity"]):
            return "left", _ANOTHER
        if not act.dry_run:
            remove(path)
        return "removed", ""

    return undo


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _interface(entry: Entry, act: _Act) -> Outcome:
    """Take a lent interface out of our namespace, and put back what was found of it."""
    name, state = str(entry["netns"]), entry["state"]
    there = name in netns.names() and identity.of_name(name) == entry.get("inside")
    if not ifstate.is_there(state, name if there else ""):
        return "left", f"{state['device']} is another interface by now"
    failures = [] if act.dry_run else ifstate.give_back(name if there else "", state)
    if failures:
        raise OSError(0, "; ".join(failures))
    return "restored", f"from the namespace {name}"


def _tracing(entry: Entry, act: _Act) -> Outcome:
    """Remove an instance of trace buffers."""
    name = str(entry["name"])
    if "/" in name or not name.startswith(tracefs.PREFIX):
        return None
    with tracefs.opened() as root:
        directory = root / "instances" / name
        if not directory.exists():
            return None
        if "identity" in entry and not identity.is_still(directory, entry["identity"]):
            return "left", _ANOTHER
        if not act.dry_run:
            tracefs.remove(root, name)
        return "removed", ""


def _subtree(entry: Entry, act: _Act) -> Outcome:
    """Take back a controller that we had the root hand down."""
    path, controller = Path(str(entry["path"])), str(entry["controller"])
    if not path.exists() or controller not in path.read_text().split():
        return None
    if not act.dry_run:
        path.write_text(f"-{controller}")
    return "restored", f"without {controller}"


def _subject(entry: Mapping[str, Any]) -> str:
    if isinstance(entry.get("state"), Mapping):
        return str(entry["state"].get("device", "?"))
    return str(entry.get("name", entry.get("path", entry.get("pid", "?"))))


_KINDS: dict[str, Callable[[Entry, _Act], Outcome]] = {
    "netns": _netns,
    "value": _value,
    "process": _process,
    "cgroup": _cgroup,
    "subtree": _subtree,
    # A file that tells others of a testbed.
    "file": _removal("up-", lambda path: path.unlink(missing_ok=True)),
    "directory": _removal(OWN, shutil.rmtree),
    "interface": _interface,
    "tracing": _tracing,
}
