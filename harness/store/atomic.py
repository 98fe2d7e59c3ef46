"""Whole or not at all: files and directories that appear under their name only when they are on the disk."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import PollbenchError

Owner = tuple[int, int]
"""User and group id that files are given to: the person who typed sudo."""

TMP = ".tmp-"
"""Every name that starts so is unfinished: no reader looks at it."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def explained(attempted: str, on: Path, *, keep: str = "finished runs are kept") -> Iterator[None]:
    """Turn an OSError into a PollbenchError that says what to do next."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            todo = f"{keep}; free some space there and go on with --resume"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            todo = "choose a directory you can write to with -o"
        else:
            todo = keep
        raise PollbenchError(attempted, on=str(on), got=error.strerror or str(error), todo=todo) from error


def write_file(path: Path, data: bytes, owner: Owner | None = None) -> None:
    """Write `path` so that a reader, or a crash, finds either the old content or the new. Raises OSError."""
    with _aside(path) as aside:
        _write_new(aside, data, owner)


def write_directory(path: Path, files: Mapping[str, bytes], owner: Owner | None = None) -> None:
    """Make the directory `path` holding `files`, all of it or nothing.

    Raises OSError; FileExistsError (ENOTEMPTY) when `path` is there already and holds anything.
    """
    with _aside(path) as aside:
        os.mkdir(aside)
        give(aside, owner)
        for name, data in files.items():
            _write_new(aside / name, data, owner)
        sync_directory(aside)


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A name beside `path` for what is made in the block; at its end that takes the place of `path`, or is gone."""
    aside = path.with_name(f"{TMP}{path.name}-{os.getpid()}")
    try:
        discard_tree(aside)
        yield aside
        # Renaming onto a directory that holds something is refused by the kernel: nothing is overwritten.
        os.rename(aside, path)
    except BaseException:
        # Best effort, on the way out of a failure that is reported already.
        with suppress(OSError):
            discard_tree(aside)
        raise
    sync_directory(path.parent)


def make_directories(path: Path, owner: Owner | None = None) -> None:
    """Like mkdir -p; only the directories that were made change owner."""
    for made in reversed([each for each in (path, *path.parents) if not each.is_dir()]):
        try:
            os.mkdir(made)
        except FileExistsError:
            if not made.is_dir():
                raise
        else:
            give(made, owner)


def give(path: Path | str, owner: Owner | None) -> None:
    """Give a path we made to its owner; a link is never followed."""
    if owner is not None:
        os.chown(path, *owner, follow_symlinks=False)


def sync_directory(path: Path) -> None:
    """Put a directory's names on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def discard_tree(path: Path) -> None:
    """Remove a directory tree that may not be there. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_new(path: Path, data: bytes, owner: Owner | None) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with open(handle, "wb", buffering=0) as file:
        if owner is not None:
            os.fchown(handle, *owner)
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        os.fsync(handle)
