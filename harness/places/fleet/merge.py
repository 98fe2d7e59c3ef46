"""Fetched runs moved into their result set: each whole or not at all, and only runs of the plan."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from pathlib import Path

from harness.store import ResultSet, atomic


def merge(results: ResultSet, incoming: Path, known: Collection[str], again: Collection[str] = ()) -> list[str]:
    """Move every run directory of `incoming` into the set; the ids of those that were moved.

    known: the plan's run ids, others are left where they are; again: runs that take the place of one that is there.
    The files are on the disk already, and are not read here: whoever makes tables of the set reads and checks them.
    Raises PollbenchError when the disk refuses.
    """
    if not incoming.is_dir():
        return []
    path, moved = results.path / "runs", []
    with atomic.explained("merge runs", path), atomic.folder(path, results.owner, results.below) as runs:
        for name in sorted(name for name in os.listdir(incoming) if name in known):
            if _move(f"{incoming}/{name}", runs, name, name in again):
                moved.append(name)
    return moved


def settle(results: ResultSet) -> None:
    """Make sure that merged runs are on the disk. Called once for many shares, since each call waits for the disk.

    A run that is not settled when the power fails is still on its host, and `--resume` fetches it.
    """
    path = results.path / "runs"
    with atomic.explained("merge runs", path), atomic.folder(path, below=results.below) as runs:
        runs.sync()


def _move(source: str, runs: atomic.Folder, name: str, replacing: bool) -> bool:
    """Rename a run directory to where there is none, or over the one that is there; whether it was moved.

    The rename itself tells whether one is there: listing a hundred thousand runs for every share would take too long.
    """
    try:
        runs.take_in(source, name)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if not replacing:
            return False
        old = f".old-{name}"
        runs.discard(old)
        runs.rename(name, old)
        runs.take_in(source, name)
        runs.discard(old)
    return True
