"""Sockets and epoll instances of other processes, borrowed by pidfd_getfd: options read and written from outside."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from harness.kernel import syscalls
from harness.kernel.syscalls import held

_SO_ACCEPTCONN, _SO_INCOMING_NAPI_ID = 30, 56
_OPTIONS = {"SO_BUSY_POLL": 46, "SO_PREFER_BUSY_POLL": 69, "SO_BUSY_POLL_BUDGET": 70}
_EPIOCSPARAMS, _EPIOCGPARAMS = 0x40088A01, 0x80088A02
_EPOLL_FORM = "=IHBB"
_INTERNET = (socket.AF_INET, socket.AF_INET6)


class SocketFacts(NamedTuple):
    """What a borrowed socket says of itself. kind: "tcp listener", "tcp", "udp"; napi_id 0: none seen yet."""

    kind: str
    napi_id: int


@contextlib.contextmanager
def borrowed(pid: int, fd: int) -> Iterator[int]:
    """A duplicate of another process's descriptor, for the block.

    Raises OSError: EPERM (not ours to look into), ENOSYS (before Linux 5.6), EBADF or ESRCH (closed, or ended).
    """
    with held(os.pidfd_open(pid)) as pidfd:
        mine = syscalls.pidfd_getfd(pidfd, fd)
    with held(mine):
        yield mine


def facts(fd: int) -> SocketFacts | None:
    """Facts of a socket; None for one that is not of the Internet families (busy polling knows no other)."""
    with _socket(fd) as sock:
        if sock.family not in _INTERNET:
            return None
        kind = "tcp" if sock.type == socket.SOCK_STREAM else "udp"
        if sock.getsockopt(socket.SOL_SOCKET, _SO_ACCEPTCONN):
            kind += " listener"
        return SocketFacts(kind, sock.getsockopt(socket.SOL_SOCKET, _SO_INCOMING_NAPI_ID))


def get_option(fd: int, name: str) -> int:
    """A busy-poll option of a socket. Raises OSError (SO_BUSY_POLL_BUDGET can be written only)."""
    with _socket(fd) as sock:
        return sock.getsockopt(socket.SOL_SOCKET, _OPTIONS[name])


def set_option(fd: int, name: str, value: int) -> None:
    """Set a busy-poll option of a socket. Raises OSError as setsockopt(2)."""
    with _socket(fd) as sock:
        sock.setsockopt(socket.SOL_SOCKET, _OPTIONS[name], value)


def get_epoll(fd: int) -> list[int]:
    """Busy-poll parameters of an epoll instance: usecs, budget, prefer. Raises OSError before Linux 6.9."""
    usecs, budget, prefer, _ = struct.unpack(_EPOLL_FORM, fcntl.ioctl(fd, _EPIOCGPARAMS, bytes(8)))
    return [usecs, budget, prefer]


def set_epoll(fd: int, parameters: list[int]) -> None:
    """Set them. Raises OSError: EPERM for a budget above 64 without CAP_NET_ADMIN, EINVAL, ENOTTY."""
    fcntl.ioctl(fd, _EPIOCSPARAMS, struct.pack(_EPOLL_FORM, *parameters, 0))


def _socket(fd: int) -> socket.socket:
    """A socket object of a descriptor of its own for the same socket."""
    return socket.socket(fileno=os.dup(fd))
