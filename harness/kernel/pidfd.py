"""Sockets and epoll instances of other processes, borrowed by pidfd_getfd: options read and written from outside."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from harness.kernel import syscalls
from harness.kernel.hostfiles import HOST
from harness.kernel.syscalls import held

_SO_ACCEPTCONN, _SO_PROTOCOL, _SO_DOMAIN, _SO_INCOMING_NAPI_ID = 30, 38, 39, 56
_IPPROTO_MPTCP, _SOL_UDP, _UDP_GRO = 262, 17, 104
_SO_MAX_PACING_RATE, _SO_INCOMING_CPU = 47, 49
_OPTIONS = {
    "SO_BUSY_POLL": (socket.SOL_SOCKET, 46),
    "SO_PREFER_BUSY_POLL": (socket.SOL_SOCKET, 69),
    "SO_BUSY_POLL_BUDGET": (socket.SOL_SOCKET, 70),
    "SO_RCVBUF": (socket.SOL_SOCKET, socket.SO_RCVBUF),
    "SO_SNDBUF": (socket.SOL_SOCKET, socket.SO_SNDBUF),
    "SO_INCOMING_CPU": (socket.SOL_SOCKET, _SO_INCOMING_CPU),
    "SO_RCVLOWAT": (socket.SOL_SOCKET, socket.SO_RCVLOWAT),
    "SO_MAX_PACING_RATE": (socket.SOL_SOCKET, _SO_MAX_PACING_RATE),
    "TCP_NODELAY": (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    "TCP_QUICKACK": (socket.IPPROTO_TCP, socket.TCP_QUICKACK),
}
# SO_RCVBUFFORCE and SO_SNDBUFFORCE: over the host's limits too. The kernel makes twice of it, and tells that.
_BUFFERS = {"SO_RCVBUF": 33, "SO_SNDBUF": 32}
_EPIOCSPARAMS, _EPIOCGPARAMS = 0x40088A01, 0x80088A02
_EPOLL_FORM = "=IHBB"
AF_XDP = 44
_INTERNET = (socket.AF_INET, socket.AF_INET6)
_TARGETS = re.compile(r"^tfd:\s*(\d+)", re.MULTILINE)


class SocketFacts(NamedTuple):
    """What a borrowed socket says of itself.

    kind: "tcp", "mptcp", "udp", "raw" or "af_xdp", the first two with " listener" where they are one; napi_id 0: none
    seen yet; udp_gro: the program asked for several datagrams at once; busy_poll_us: None before Linux 3.11.
    """

    kind: str
    napi_id: int
    udp_gro: bool = False
    busy_poll_us: int | None = None


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
    """Facts of a socket; None for one of a family that busy polling does not know."""
    with _socket(fd) as sock:
        if sock.family not in (*_INTERNET, AF_XDP):
            return None
        kind, napi_id = _kind(sock), sock.getsockopt(socket.SOL_SOCKET, _SO_INCOMING_NAPI_ID)
        return SocketFacts(kind, napi_id, kind == "udp" and _has_gro(sock), _busy_poll(sock))


def _kind(sock: socket.socket) -> str:
    if sock.family == AF_XDP:
        return "af_xdp"
    if sock.type != socket.SOCK_STREAM:
        return "udp" if sock.type == socket.SOCK_DGRAM else "raw"
    kind = "mptcp" if sock.getsockopt(socket.SOL_SOCKET, _SO_PROTOCOL) == _IPPROTO_MPTCP else "tcp"
    return f"{kind} listener" if sock.getsockopt(socket.SOL_SOCKET, _SO_ACCEPTCONN) else kind


def _has_gro(sock: socket.socket) -> bool:
    """Whether UDP_GRO is on; before Linux 5.0 there is none, and a ping socket is no UDP socket."""
    with contextlib.suppress(OSError):
        return bool(sock.getsockopt(_SOL_UDP, _UDP_GRO))
    return False


def _busy_poll(sock: socket.socket) -> int | None:
    with contextlib.suppress(OSError):
        return sock.getsockopt(*_OPTIONS["SO_BUSY_POLL"])
    return None


def watched(pid: int, fd: int) -> list[int]:
    """The descriptors, by their numbers in process `pid`, that its epoll instance `fd` watches; empty when it is gone.

    Source: proc_pid_fdinfo(5).
    """
    return [int(number) for number in _TARGETS.findall(HOST.text(f"/proc/{pid}/fdinfo/{fd}") or "")]


def has_option(kind: str, name: str) -> bool:
    """Does a socket of a kind, as SocketFacts has it, know the option at all?"""
    level, _ = _OPTIONS.get(name, (None, 0))
    return level == socket.SOL_SOCKET or (level == socket.IPPROTO_TCP and "tcp" in kind)


def get_option(fd: int, name: str) -> int:
    """An option of a socket, by the kernel's name. Raises OSError (SO_BUSY_POLL_BUDGET can be written only)."""
    with _socket(fd) as sock:
        return sock.getsockopt(*_OPTIONS[name])


def set_option(fd: int, name: str, value: int) -> None:
    """Set an option of a socket to what it is then to read back. Raises OSError as setsockopt(2)."""
    with _socket(fd) as sock:
        if name in _BUFFERS:
            sock.setsockopt(socket.SOL_SOCKET, _BUFFERS[name], value // 2)
        else:
            sock.setsockopt(*_OPTIONS[name], value)


def get_epoll(fd: int) -> list[int]:
    """Busy-poll parameters of an epoll instance: usecs, budget, prefer. Raises OSError before Linux 6.9."""
    usecs, budget, prefer, _ = struct.unpack(_EPOLL_FORM, fcntl.ioctl(fd, _EPIOCGPARAMS, bytes(8)))
    return [usecs, budget, prefer]


def set_epoll(fd: int, parameters: list[int]) -> None:
    """Set them. Raises OSError: EPERM for a budget above 64 without CAP_NET_ADMIN, EINVAL, ENOTTY."""
    fcntl.ioctl(fd, _EPIOCSPARAMS, struct.pack(_EPOLL_FORM, *parameters, 0))


def _socket(fd: int) -> socket.socket:
    """A socket object of a descriptor of its own for the same socket.

    Python would ask it for its address to find out its family, which an AF_XDP socket has none of.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 0, os.dup(fd)) as unknown:
        family, kind = (unknown.getsockopt(socket.SOL_SOCKET, option) for option in (_SO_DOMAIN, socket.SO_TYPE))
        return socket.socket(family, kind, 0, unknown.detach())
