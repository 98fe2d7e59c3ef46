"""The kinds of sockets that receive, and the ways to wait for a packet; each opened in the namespaces of a scene."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from harness.kernel import pidfd
from harness.kernel.matrix.scenes import CLIENT, SERVER, Scene
from harness.kernel.netns import in_netns

# 253 is a protocol number for experiments; the kernel chooses ports, since the last one used may be waiting.
_PROTOCOL, _IPPROTO_MPTCP, _ETH_P_IP, _ANY = 253, 262, 0x0800, 0
_PATIENCE_S, _BUDGET = 1.0, 8
BUSY_POLL_US = 20_000
"""Longer than the next packet takes to come, also where every instruction is emulated."""


class Ends(NamedTuple):
    """A socket that receives, and what sends it one packet more. message: the most that one packet holds."""

    receiver: socket.socket
    send: Callable[[], object]
    message: int


@contextlib.contextmanager
def opened(kind: str, scene: Scene) -> Iterator[Ends]:
    """Both ends of one of KINDS, the receiving one with SO_BUSY_POLL set, for the block. Raises OSError."""
    with contextlib.ExitStack() as stack:
        ends = KINDS[kind](scene, stack)
        pidfd.set_option(ends.receiver.fileno(), "SO_BUSY_POLL", BUSY_POLL_US)
        patience = struct.pack("@ll", int(_PATIENCE_S), 0)
        ends.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
        yield ends


def _socket(netns: int, stack: contextlib.ExitStack, *kind: int) -> socket.socket:
    with in_netns(netns):
        return stack.enter_context(socket.socket(*kind))


def _server(scene: Scene, stack: contextlib.ExitStack, *kind: int) -> socket.socket:
    sock = _socket(scene.server, stack, *kind)
    if scene.bound:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, scene.bound.encode())
    return sock


def _client(scene: Scene, stack: contextlib.ExitStack, *kind: int) -> socket.socket:
    """Bound to its address: over the loopback device both are the same host's."""
    sock = _socket(scene.client, stack, *kind)
    sock.bind((CLIENT, 0))
    return sock


def _udp(scene: Scene, stack: contextlib.ExitStack) -> Ends:
    receiver = _server(scene, stack, socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind((SERVER, _ANY))
    sender, address = _client(scene, stack, socket.AF_INET, socket.SOCK_DGRAM), receiver.getsockname()
    return Ends(receiver, lambda: sender.sendto(b"x", address), 64)


def _stream(protocol: int) -> Callable[[Scene, contextlib.ExitStack], Ends]:
    def ends(scene: Scene, stack: contextlib.ExitStack) -> Ends:
        listener = _server(scene, stack, socket.AF_INET, socket.SOCK_STREAM, protocol)
        listener.bind((SERVER, _ANY))
        listener.listen(1)
        listener.settimeout(_PATIENCE_S)
        sender = _client(scene, stack, socket.AF_INET, socket.SOCK_STREAM, protocol)
        sender.settimeout(_PATIENCE_S)
        sender.connect(listener.getsockname())
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        receiver = stack.enter_context(listener.accept()[0])
        receiver.settimeout(None)
        # Several bytes may come in one packet, and each counts as one.
        return Ends(receiver, lambda: sender.send(b"x"), 1)

    return ends


def _packet(scene: Scene, stack: contextlib.ExitStack) -> Ends:
    # Somebody has to listen, or each packet is answered by one that says that nobody does.
    sender = _udp(scene, stack).send
    receiver = _socket(scene.server, stack, socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
    with in_netns(scene.server):
        receiver.bind((scene.device, _ETH_P_IP))
    return Ends(receiver, sender, 2048)


def _raw(scene: Scene, stack: contextlib.ExitStack) -> Ends:
    receiver = _server(scene, stack, socket.AF_INET, socket.SOCK_RAW, _PROTOCOL)
    receiver.bind((SERVER, 0))
    sender = _client(scene, stack, socket.AF_INET, socket.SOCK_RAW, _PROTOCOL)
    return Ends(receiver, lambda: sender.sendto(b"x", (SERVER, 0)), 64)


def _unix(_scene: Scene, stack: contextlib.ExitStack) -> Ends:
    receiver, sender = map(stack.enter_context, socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
    return Ends(receiver, lambda: sender.send(b"x"), 64)


KINDS: dict[str, Callable[[Scene, contextlib.ExitStack], Ends]] = {
    "UDP": _udp,
    "TCP": _stream(0),
    "MPTCP": _stream(_IPPROTO_MPTCP),
    "AF_PACKET": _packet,
    "raw": _raw,
    "unix": _unix,
}


# -- waiting ----------------------------------------------------------------------------------------------------------


def _blocking(ends: Ends, count: int) -> int:
    for number in range(count):
        try:
            ends.receiver.recv(ends.message)
        except BlockingIOError:
            return number
    return count


def _poll(ends: Ends, count: int) -> int:
    waiter = select.poll()
    waiter.register(ends.receiver, select.POLLIN)
    return _by_events(lambda: waiter.poll(_PATIENCE_S * 1e3), ends, count)


def _epoll(ends: Ends, count: int) -> int:
    with select.epoll() as waiter:
        # Before Linux 6.9 there is none, and net.core.busy_poll alone decides.
        with contextlib.suppress(OSError):
            pidfd.set_epoll(waiter.fileno(), [BUSY_POLL_US, _BUDGET, 0])
        waiter.register(ends.receiver, select.EPOLLIN)
        return _by_events(lambda: waiter.poll(_PATIENCE_S), ends, count)


def _by_events(wait: Callable[[], list[tuple[int, int]]], ends: Ends, count: int) -> int:
    for number in range(count):
        if not wait():
            return number
        ends.receiver.recv(ends.message, socket.MSG_DONTWAIT)
    return count


WAITS: dict[str, Callable[[Ends, int], int]] = {"blocking": _blocking, "poll": _poll, "epoll": _epoll}
"""Receive so many packets, having waited for each; how many came before one took too long."""


def has_epoll_parameters() -> bool:
    """Can an epoll instance be told to busy-poll (Linux 6.9)?"""
    with select.epoll() as waiter:
        try:
            pidfd.get_epoll(waiter.fileno())
        except OSError:
            return False
    return True


def spare_cpus() -> tuple[int, int]:
    """A CPU for the sender, and one for the receiver: another, where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[0], cpus[-1]
