"""Fetched runs moved into their result set: each whole or not at all, and only runs of the plan."""

from __future__ import annotations

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
        names = sorted(name for name in os.listdir(incoming) if name in known)
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
