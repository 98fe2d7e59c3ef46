"""Who reaches whom: one echo request between any two hosts of a testbed, as Mininet's pingall."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import time
from collections.abc import Sequence
from typing import NamedTuple

from harness.errors import InputError
from harness.kernel.netns import in_netns
from harness.testbed import Testbed

_ECHO = {4: (8, 0), 6: (128, 129)}  # types of request and reply, ICMP and ICMPv6
_SOCKETS = {
    4: (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    6: (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6),
}
_HEADER = struct.Struct("!BBHHH")
_PATIENCE_S, _TRIES = 1.0, 3


class Reach(NamedTuple):
    """hosts: asked, in order; unreached: (from, to) of every pair without an answer."""

    hosts: tuple[str, ...]
    unreached: tuple[tuple[str, str], ...]

    @property
    def asked(self) -> int:
        """How many ordered pairs of hosts were asked."""
        return len(self.hosts) * (len(self.hosts) - 1)


def ping_all(testbed: Testbed, hosts: Sequence[str] | None = None) -> Reach:
    """Ask from every host to every other; up to three times, a second each. Raises OSError."""
    names = tuple(testbed.layout.topology.hosts() if hosts is None else hosts)
    unreached: list[tuple[str, str]] = []
    for number, name in enumerate(names):
        others = [other for other in names if other != name]
        unreached += [(name, other) for other in _unanswered(testbed, name, others, number)]
    return Reach(names, tuple(unreached))


def _unanswered(testbed: Testbed, name: str, others: Sequence[str], number: int) -> list[str]:
    """Those of `others` that do not answer the host `name`."""
    with contextlib.ExitStack() as stack:
        with in_netns(testbed.nodes[name].fd):
            sockets = {version: stack.enter_context(socket.socket(*kind)) for version, kind in _SOCKETS.items()}
        missing = dict(enumerate(others))
        for _ in range(_TRIES):
            asked = False
            for seq, other in missing.items():
                try:
                    address = testbed.address(other, seen_from=name)
                    version = 6 if ":" in address else 4
                    sockets[version].sendto(_request(version, number, seq), (address, 0))
                    asked = True
                except (OSError, InputError):
                    continue  # no route, or no path at all: the pair stays without an answer
            if asked:
                _collect(sockets, number, missing)
            if not missing or not asked:
                break
        return list(missing.values())


def _request(version: int, number: int, seq: int) -> bytes:
    kind = _ECHO[version][0]
    bare = _HEADER.pack(kind, 0, 0, number & 0xFFFF, seq & 0xFFFF)
    # Of ICMPv6 the kernel computes the checksum, since it covers addresses too.
    return _HEADER.pack(kind, 0, _checksum(bare) if version == 4 else 0, number & 0xFFFF, seq & 0xFFFF)


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _collect(sockets: dict[int, socket.socket], number: int, missing: dict[int, str]) -> None:
    """Strike out of `missing` whoever answers, until all have or patience ends."""
    deadline = time.monotonic() + _PATIENCE_S
    with selectors.DefaultSelector() as selector:
        for version, sock in sockets.items():
            selector.register(sock, selectors.EVENT_READ, version)
        while missing and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                data = sockets[key.data].recv(2048)
                start = (data[0] & 15) * 4 if key.data == 4 else 0
                if len(data) < start + _HEADER.size:
                    continue
                kind, _, _, identifier, seq = _HEADER.unpack_from(data, start)
                if kind == _ECHO[key.data][1] and identifier == number & 0xFFFF:
                    missing.pop(seq, None)
