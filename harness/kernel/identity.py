"""What a file, a directory or a namespace is by its numbers: a name can be used again, these cannot."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from harness.kernel.netns import in_netns, opened, path_of

Identity = Mapping[str, int]
"""dev and ino; of a namespace its cookie, of a file the time of its last change of content (modified_ns)."""

_SO_NETNS_COOKIE = 71


def of_path(path: Path) -> dict[str, int]:
    """Of a directory or a control group, or of a file; a symbolic link is itself. Raises OSError."""
    stat = os.lstat(path)
    numbers = {"dev": stat.st_dev, "ino": stat.st_ino}
    # A file system may give the number of a file that is gone to the next one.
    return numbers if path.is_dir() else numbers | {"modified_ns": stat.st_mtime_ns}


def is_still(path: Path, identity: Identity) -> bool:
    """Is this path what bore it when the identity was taken?"""
    try:
        return of_path(path) == dict(identity)
    except OSError:
        return False


def of_namespace(fd: int) -> dict[str, int]:
    """Of a network namespace. Raises OSError.

    The kernel gives the inode's number to another namespace once this one is gone. The cookie, since Linux 5.14, is
    given once for as long as it is up; 0 before.
    """
    stat = os.fstat(fd)
    with in_netns(fd), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
        try:
            raw = asking.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
        except OSError:
            raw = b""
    return {"dev": stat.st_dev, "ino": stat.st_ino, "cookie": int.from_bytes(raw, "little") if raw else 0}


def of_name(name: str) -> dict[str, int] | None:
    """Of the namespace of this name; None where there is none, or the name is bound to nothing."""
    try:
        with opened(path_of(name)) as fd:
            return of_namespace(fd)
    except OSError:
        return None
