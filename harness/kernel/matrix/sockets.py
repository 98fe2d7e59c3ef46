"""The kinds of sockets that receive, and the ways to wait for a packet; each opened in the namespaces of a scene."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from harness.kernel import pidfd
from harness.kernel.matrix import uring, xsk
from harness.kernel.matrix.scenes import CLIENT, SERVER, Scene
from harness.kernel.netns import in_netns

# 253 is a protocol number for experiments; the kernel chooses ports, since the last one used may be waiting.
_PROTOCOL, _IPPROTO_MPTCP, _ETH_P_IP, _ANY = 253, 262, 0x0800, 0
# No socket of the stack has it: the XDP program alone knows of it.
_XDP_PORT = 9999
_PATIENCE_S, _BUDGET = 1.0, 8
BUSY_POLL_US = 20_000
"""Longer than the next packet takes to come, also where every instruction is emulated."""


class Ends(NamedTuple):
    """A socket that receives, and what sends it one packet more. message: the most that one packet holds.

    ring: what an AF_XDP socket receives by, else None.
    """

    receiver: socket.socket
    send: Callable[[], object]
    message: int
    ring: xsk.Receiver | None = None

    def take(self) -> bool:
        """Take a message that has come; False: there was none after all."""
        if self.ring is not None:
            return self.ring.take()
        return bool(self.receiver.recv(self.message, socket.MSG_DONTWAIT))


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


def _xdp(mode: int) -> Callable[[Scene, contextlib.ExitStack], Ends]:
    def ends(scene: Scene, stack: contextlib.ExitStack) -> Ends:
        sender, address = _client(scene, stack, socket.AF_INET, socket.SOCK_DGRAM), (SERVER, _XDP_PORT)
        with in_netns(scene.server):
            ring = stack.enter_context(xsk.receiving(scene.device, _XDP_PORT, mode))
        return Ends(ring.socket, lambda: sender.sendto(b"x", address), 0, ring)

    return ends


KINDS: dict[str, Callable[[Scene, contextlib.ExitStack], Ends]] = {
    "UDP": _udp,
    "TCP": _stream(0),
    "MPTCP": _stream(_IPPROTO_MPTCP),
    "AF_PACKET": _packet,
    "raw": _raw,
    "AF_XDP copy": _xdp(xsk.COPY),
    "AF_XDP zero copy": _xdp(xsk.ZERO_COPY),
    "unix": _unix,
}
BY_LINK = tuple(kind for kind in KINDS if kind != "unix")
"""Those whose packets come in by a device."""


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
        ends.take()
    return count


def _uring(ends: Ends, count: int) -> int:
    with uring.made() as ring:
        # Before Linux 6.9 it cannot be asked for.
        with contextlib.suppress(OSError):
            ring.poll_for(BUSY_POLL_US)
        for number in range(count):
            if not ring.receive(ends.receiver.fileno(), ends.message, _PATIENCE_S):
                return number
    return count


def _spin(ends: Ends, count: int) -> int:
    for number in range(count):
        deadline = time.monotonic() + _PATIENCE_S
        while not ends.take():
            if time.monotonic() > deadline:
                return number
            with contextlib.suppress(BlockingIOError):
                ends.receiver.recv(0, socket.MSG_DONTWAIT)
    return count


WAITS: dict[str, Callable[[Ends, int], int]] = {
    "blocking": _blocking,
    "poll": _poll,
    "epoll": _epoll,
    "io_uring": _uring,
    "spin": _spin,
}
"""Receive so many packets, having waited for each; how many came before one took too long."""


def waits_of(kind: str) -> tuple[str, ...]:
    """How sockets of a kind wait: an AF_XDP one has no receive that blocks, and spins over its ring."""
    return ("spin", "poll", "epoll") if is_beside_the_stack(kind) else ("blocking", "poll", "epoll", "io_uring")


def is_beside_the_stack(kind: str) -> bool:
    """Does an XDP program hand it its packets?"""
    return kind.startswith("AF_XDP")


def has_epoll_parameters() -> bool:
    """Can an epoll instance be told to busy-poll (Linux 6.9)?"""
    with select.epoll() as waiter:
        try:
            pidfd.get_epoll(waiter.fileno())
        except OSError:
            return False
    return True


def has_uring_polling() -> bool:
    """Can an io_uring be told to busy-poll (Linux 6.9)?"""
    try:
        with uring.made() as ring:
            ring.poll_for(0)
    except OSError:
        return False
    return True


def spare_cpus() -> tuple[int, int]:
    """A CPU for the sender, and one for the receiver: another, where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[0], cpus[-1]
