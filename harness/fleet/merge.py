"""Fetched runs moved into their result set: each whole or not at all, and only runs of the plan."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from pathlib import Path

from harness.store import ResultSet, atomic


def merge(
    results: ResultSet, incoming: Path, known: Collection[str], again: Collection[str] = ()
) -> list[str]:
    """Move every run directory of `incoming` into the set; the ids of those that were moved.

    known: the plan's run ids, others are left where they are; again: runs that take the place of one that is there.
    Whoever wrote `incoming` has put its files on the disk. What they hold was written by the host's own store; whoever
    makes tables of the set reads it, and doubts it.
    Raises PollbenchError when the disk refuses.
    """
    moved = []
    runs = results.path / "runs"
    with atomic.explained("merge runs", runs):
        if not incoming.is_dir():
            return []
        for name in sorted(name for name in os.listdir(incoming) if name in known):
            if _move(os.path.join(incoming, name), runs / name, name in again):
                atomic.give(runs / name, results.owner)
                moved.append(name)
        atomic.sync_directory(runs)
    return moved


def _move(source: str, target: Path, replacing: bool) -> bool:
    """Rename a run directory to where there is none, or over the one that is there; whether it was moved.

    Whether one is there the rename says: to list a hundred thousand for every share would take longer than all else.
    """
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if not replacing:
            return False
        old = target.with_name(f".old-{target.name}")
        atomic.discard_tree(old)
        os.rename(target, old)
        os.rename(source, target)
        atomic.discard_tree(old)
    return True
