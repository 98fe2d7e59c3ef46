"""Control groups of version 2: where they are, which controllers they have, and one of our own for a while."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from harness.kernel import identity, processes, undo
from harness.kernel.hostfiles import HOST, HostFiles
from harness.kernel.journal import Journal, Written
from harness.kernel.proc import start_ticks

# What is forked while others are ended is there in the next round.
_ROUNDS = 20


def require(controllers: Iterable[str], files: HostFiles = HOST) -> str:
    """The mount point of version 2, if it has these controllers.

    Raises OSError: ENOENT where it is not mounted, EOPNOTSUPP naming what it lacks.
    """
    mounts = [line.split()[1:4] for line in (files.text("/proc/self/mounts") or "").splitlines()]
    # One that was mounted before another /sys is still listed, and nobody can reach it.
    places = [at for at, kind, _ in mounts if kind == "cgroup2" and files.text(f"{at}/cgroup.controllers") is not None]
    path = next(reversed(places), None)
    if path is None:
        raise OSError(errno.ENOENT, "cgroup v2 is not mounted")
    have = (files.text(f"{path}/cgroup.controllers") or "").split()
    missing = [name for name in controllers if name not in have]
    if missing:
        held = {option for _, kind, options in mounts if kind == "cgroup" for option in options.split(",")}
        reason = "cgroup v1 holds it" if held.intersection(missing) else "this kernel lacks it"
        raise OSError(errno.EOPNOTSUPP, f"cgroup v2 has no {' and '.join(missing)} controller here ({reason})")
    return path


class Group:
    """A control group that bears our name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, file: str, value: str) -> Written:
        """Write one of its files and read it back. Raises OSError (EINVAL: refused)."""
        target = self.path / file
        before = target.read_text().strip()
        target.write_text(value)
        return Written(before, target.read_text().strip())

    def usage(self) -> dict[str, int]:
        """cpu.stat: times in us, and with a quota its periods. Source: admin-guide/cgroup-v2.rst, "CPU"."""
        pairs = (line.split() for line in (self.path / "cpu.stat").read_text().splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}

    def affinity(self) -> list[int]:
        """The CPUs that any process inside may run on."""
        cpus: set[int] = set()
        for pid in (self.path / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                cpus |= os.sched_getaffinity(int(pid))
        return sorted(cpus)

    @property
    def entrance(self) -> str:
        """The file by which a process moves itself, all its threads, into the group."""
        return str(self.path / "cgroup.procs")


@contextlib.contextmanager
def own_group(journal: Journal, node: str, controllers: Collection[str], files: HostFiles = HOST) -> Iterator[Group]:
    """A group named after the journal's token and a node, for the block.

    Controllers that the root does not hand down are switched on there, noted, and switched off again. Raises OSError:
    EOPNOTSUPP (no such controller in version 2), EBUSY (somebody is still inside at the end).
    """
    top = files.path(require(controllers, files))
    control = top / "cgroup.subtree_control"
    with contextlib.ExitStack() as stack:
        for name in controllers:
            if name not in control.read_text().split():
                stack.enter_context(_handed_down(journal, control, name))
        yield stack.enter_context(_made(journal, top / f"{undo.OWN}{journal.token}-{node}"))


@contextlib.contextmanager
def run_group(journal: Journal, namespaces: Collection[str] = (), files: HostFiles = HOST) -> Iterator[Group | None]:
    """A group for all programs of a run, so that whatever descends from them ends with it.

    It lies below the group that this process is in and has no controllers there: nothing is shared out otherwise than
    without it. None without version 2: then what has come into the namespaces of these names ends with the block.
    """
    try:
        path = _own_place(files) / f"{undo.OWN}{journal.token}"
        with contextlib.ExitStack() as stack:
            group = stack.enter_context(_made(journal, path))
            held = stack.pop_all()
    except OSError:  # not mounted, or read-only as in a container: programs are then found by their namespaces
        before = _inside(namespaces)
        try:
            yield None
        finally:
            for _ in range(_ROUNDS):
                new = dict(_inside(namespaces).items() - before.items())
                undo.end(list(new))
                if not new:
                    break
        return
    with held:
        yield group


def _inside(namespaces: Collection[str]) -> processes.Known:
    known = filter(None, map(identity.of_name, namespaces))
    pids = processes.living([pid for one in known for pid in processes.in_namespace(one)])
    return {pid: start_ticks(pid) for pid in pids}


def _own_place(files: HostFiles) -> Path:
    """The directory of the group that this process is in. Raises OSError where there is none of version 2."""
    top = files.path(require([], files))
    own = next((line[3:] for line in files.lines("/proc/self/cgroup") if line.startswith("0::/")), "")
    place = top / own.lstrip("/")
    if not own or ".." in own or not place.is_dir():
        raise OSError(errno.ENOENT, "no control group of version 2 of its own")
    return place


@contextlib.contextmanager
def _made(journal: Journal, path: Path) -> Iterator[Group]:
    """A group for the block; at its end whoever is inside is ended with it. Raises OSError."""
    number = journal.note("cgroup", path=str(path))
    try:
        path.mkdir()
    except OSError:
        journal.done(number)
        raise
    known = identity.of_path(path)
    journal.identify(number, known)
    try:
        yield Group(path)
    finally:
        if identity.is_still(path, known):
            undo.remove_group(path)
        journal.done(number)


@contextlib.contextmanager
def _handed_down(journal: Journal, file: Path, controller: str) -> Iterator[None]:
    number = journal.note("subtree", path=str(file), controller=controller)
    file.write_text(f"+{controller}")
    try:
        yield
    finally:
        file.write_text(f"-{controller}")
        journal.done(number)
