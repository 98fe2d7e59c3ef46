"""A lock by the name of a file: held by one process at a time, and let go when that ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.kernel.syscalls import held


@contextlib.contextmanager
def file_lock(path: Path, wait: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold the lock of this name for the block; its file is there for as long.

    wait: called again and again while another holds it; it is to take its time, and may raise. Without it the block
    gets False where another does. Raises OSError.
    """
    while True:
        with held(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)) as fd:
            if not lock_now(fd, fcntl.LOCK_EX):
                if wait is None:
                    yield False
                    return
                wait()
            elif _is(path, fd):
                try:
                    yield True
                finally:
                    # While it is held: who waits for it then finds that it is another file's, and opens that.
                    path.unlink(missing_ok=True)
                return


def lock_now(fd: int, kind: int) -> bool:
    """Lock an open file without waiting; False where another holds it. kind: fcntl's LOCK_EX or LOCK_SH."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is(path: Path, fd: int) -> bool:
    """Is the open file still the one of this name?"""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False
