"""Read and write sysctls by their dotted or slashed name, in the calling thread's network namespace."""

from __future__ import annotations

import os

ROOT = "/proc/sys"


def path_of(name: str) -> str:
    """The file of a sysctl: "net.core.busy_read" or "net/ipv4/conf/eth0.1/rp_filter" (slashes: dots stay)."""
    return f"{ROOT}/{name}" if "/" in name else f"{ROOT}/{name.replace('.', '/')}"


def read(name: str) -> str:
    """The value, stripped. Raises OSError (ENOENT: not on this kernel, or not per network namespace)."""
    return read_file(path_of(name))


def write(name: str, value: int | str) -> None:
    """Set the value. Raises OSError with the kernel's own errno (EINVAL for a refused value)."""
    write_file(path_of(name), value)


def read_file(path: str) -> str:
    """A /proc or /sys file's text, stripped."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 65536).decode().strip()
    finally:
        os.close(fd)


def write_file(path: str, value: int | str) -> None:
    """Write a /proc or /sys file in one write(2): Python's files would report the errno at close."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)
