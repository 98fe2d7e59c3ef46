"""Fetched runs moved into their result set: each whole or not at all, and only runs of the plan."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from harness.errors import PollbenchError
from harness.store import ResultSet, atomic


def merge(
    results: ResultSet, incoming: Path, known: Collection[str], again: Collection[str] = ()
) -> list[str]:
    """Move every run directory of `incoming` into the set; the ids of those that were moved.

    known: the plan's run ids, others are left where they are; again: runs that take the place of one that is there.
    What they hold was written by the host's own store and is read, and doubted, by whoever makes tables of the set.
    Raises PollbenchError when the disk refuses.
    """
    moved = []
    runs = results.path / "runs"
    with atomic.explained("merge runs", runs):
        if not incoming.is_dir():
            return []
        names = sorted(name for name in os.listdir(incoming) if name in known)
        if names:
            # Once for all of them: a file that is renamed before it is on the disk may be empty after a power loss.
            os.sync()
        there = set(os.listdir(runs))
        for name in names:
            target = runs / name
            if name in there:
                if name not in again:
                    continue
                old = target.with_name(f".old-{name}")
                atomic.discard_tree(old)
                os.rename(target, old)
                os.rename(incoming / name, target)
                atomic.discard_tree(old)
            else:
                os.rename(incoming / name, target)
            atomic.give(target, results.owner)
            moved.append(name)
        atomic.sync_directory(runs)
    return moved


def free_bytes(path: Path) -> int:
    """Room on the file system of a path. Raises PollbenchError."""
    try:
        found = os.statvfs(path)
    except OSError as error:
        raise PollbenchError("look for room", str(path), error.strerror or "") from error
    return found.f_bavail * found.f_frsize
