"""Reads files that anybody may have put there: a pipe or a device in a file's place is named, and never waited for."""

from __future__ import annotations

import errno
import os
import select
import stat
from pathlib import Path

PATIENCE_S = 5.0
"""How long a pipe that stands for an input file may be silent (`pollbench validate <(make-experiment)`)."""
_CHUNK_BYTES = 1 << 16


def read_regular(path: Path | str, most: int | None = None) -> bytes:
    """The bytes of a regular file, at most so many. Raises OSError, also for whatever is no regular file."""
    with open(_opened(path), "rb", buffering=0) as file:
        return file.read() if most is None else _up_to(file.fileno(), most, PATIENCE_S)


def read_input(path: Path | str, most: int | None = None, patience_s: float = PATIENCE_S) -> bytes:
    """The same for a file that a user names, which may be a pipe: it is read to its end.

    most: bytes after which it is read no further. Raises OSError, also where nothing more comes for so many seconds.
    """
    with open(_opened(path, pipes=True), "rb", buffering=0) as file:
        facts = os.fstat(file.fileno())
        if stat.S_ISREG(facts.st_mode) and (most is None or facts.st_size < most):
            return file.read()
        return _up_to(file.fileno(), most, patience_s)


def _opened(path: Path | str, pipes: bool = False) -> int:
    """A descriptor; a FIFO nobody writes to is opened at once, and so is told from a file."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode) or (pipes and not stat.S_ISDIR(mode)):
        return fd
    os.close(fd)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "it is no regular file", str(path))


def _up_to(fd: int, most: int | None, patience_s: float) -> bytes:
    """What can be read until its end, its limit, or a silence that is too long."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    data = bytearray()
    while most is None or len(data) < most:
        # A FIFO without a writer would read as ended: that nobody has opened it yet, only the wait tells.
        if not poll.poll(1000 * patience_s):
            raise TimeoutError(errno.ETIMEDOUT, f"it is a pipe, and nothing came within {patience_s:g} s")
        chunk = os.read(fd, _CHUNK_BYTES if most is None else min(_CHUNK_BYTES, most - len(data)))
        if not chunk:
            break
        data += chunk
    return bytes(data)
