"""The netlink wire: attributes, requests, and a socket that sends many requests at once."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_NEW = 0x600  # NLM_F_CREATE and NLM_F_EXCL
NLM_F_PUT = 0x500  # NLM_F_CREATE and NLM_F_REPLACE
NLA_F_NESTED = 0x8000

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_ACK_TLVS, _NLM_F_CAPPED = 0x200, 0x100
NETLINK_ROUTE, NETLINK_GENERIC = 0, 16

_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11
_NLMSGERR_ATTR_MSG = 1

_HEADER = struct.Struct("=IHHII")
_ATTR = struct.Struct("=HH")
_U32 = struct.Struct("=I")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")

# The kernel copies one send into one buffer, bounded by the socket's send buffer (208 KiB by default).
_SEND_BYTES = 64 * 1024
_RECEIVE_BYTES = 256 * 1024


class NetlinkError(OSError):
    """The kernel refused a request: errno, its own words, what was asked, and its index in the batch."""

    def __init__(self, number: int, text: str, attempted: str, index: int = 0) -> None:
        super().__init__(number, text)
        self.attempted, self.index = attempted, index

    def __str__(self) -> str:
        return f"{self.attempted}: {self.strerror}"


class Request(NamedTuple):
    """One netlink message to send. kind: its type; body: padded to 4 bytes; attempted: what it asks, in words."""

    kind: int
    flags: int
    body: bytes
    attempted: str


def attr(kind: int, payload: bytes) -> bytes:
    """One netlink attribute: header, payload, padding to four bytes."""
    size = len(payload)
    return _ATTR.pack(size + 4, kind) + payload + _PADDING[size & 3]


def attr_u32(kind: int, value: int) -> bytes:
    """An attribute that holds an unsigned 32-bit number in host order."""
    return _ATTR.pack(8, kind) + _U32.pack(value)


def attr_text(kind: int, text: str) -> bytes:
    """A NUL-terminated string attribute."""
    return attr(kind, text.encode() + b"\0")


def nest(kind: int, *parts: bytes) -> bytes:
    """An attribute made of attributes."""
    return attr(kind | NLA_F_NESTED, b"".join(parts))


def attrs(data: bytes, start: int = 0) -> dict[int, bytes]:
    """The attributes in `data` from `start` on, by type; of a repeated type the last counts."""
    attributes: dict[int, bytes] = {}
    end = len(data)
    while start + 4 <= end:
        size, kind = _ATTR.unpack_from(data, start)
        if size < 4:
            break
        attributes[kind & 0x3FFF] = data[start + 4 : start + size]
        start += (size + 3) & ~3
    return attributes


def u32(data: bytes, start: int = 0) -> int:
    """The 32-bit number at `start`."""
    return int(_U32.unpack_from(data, start)[0])


def on_the_wire(requests: Sequence[Request]) -> bytes:
    """The requests as they are sent, by whoever sends them: each asks for an acknowledgement."""
    flags = NLM_F_ACK | NLM_F_REQUEST
    return b"".join(
        _HEADER.pack(len(request.body) + 16, request.kind, request.flags | flags, number, 0) + request.body
        for number, request in enumerate(requests, 1)
    )


class NetlinkSocket:
    """A netlink socket of this thread's network namespace (it stays there when the thread moves on)."""

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._sequence = 0

    def batch(self, requests: Sequence[Request]) -> None:
        """Send all requests in as few system calls as possible, in order; the kernel does them all.

        Only the last asks for an acknowledgement: errors are always reported, so silence means success.
        Raises NetlinkError of the first request that failed (later ones have been tried too).
        """
        start = size = 0
        for end, request in enumerate(requests):
            size += len(request.body) + 16
            if size > _SEND_BYTES:
                self._exchange(requests[start:end], start)
                start, size = end, len(request.body) + 16
        if requests:
            self._exchange(requests[start:], start)

    def _exchange(self, requests: Sequence[Request], offset: int) -> None:
        first = self._sequence + 1
        self._sequence += len(requests)
        parts: list[bytes] = []
        for sequence, (kind, flags, body, _) in enumerate(requests, first):
            ack = NLM_F_ACK if sequence == self._sequence else 0
            parts.append(_HEADER.pack(len(body) + 16, kind, flags | ack | NLM_F_REQUEST, sequence, 0))
            parts.append(body)
        self._socket.send(b"".join(parts))
        errors: dict[int, NetlinkError] = {}
        for kind, sequence, error, _ in self._answers():
            if kind == _NLMSG_ERROR:
                if error is not None:
                    index = sequence - first
                    errors[sequence] = NetlinkError(*error, requests[index].attempted, offset + index)
                if sequence == self._sequence:
                    break
        if errors:
            raise errors[min(errors)]

    def ask(self, request: Request) -> list[bytes]:
        """Send one request (a dump, or a get) and return the bodies of its answers. Raises NetlinkError."""
        return [message[_HEADER.size :] for message in self.messages(request)]

    def messages(self, request: Request) -> list[bytes]:
        """As ask(), but every answer whole, with its header: what another library's decoder wants."""
        self._sequence += 1
        kind, flags, body, attempted = request
        dump = flags & NLM_F_DUMP == NLM_F_DUMP
        flags |= NLM_F_REQUEST | (0 if dump else NLM_F_ACK)
        self._socket.send(_HEADER.pack(len(body) + 16, kind, flags, self._sequence, 0) + body)
        answers: list[bytes] = []
        for answer, sequence, error, message in self._answers():
            if sequence != self._sequence:
                continue
            if error is not None:
                raise NetlinkError(*error, attempted)
            if answer in (_NLMSG_DONE, _NLMSG_ERROR):
                break
            answers.append(message)
        return answers

    def _answers(self) -> Iterator[tuple[int, int, tuple[int, str] | None, bytes]]:
        """(type, sequence, error, whole message) of every message that arrives; without end, the caller stops."""
        while True:
            data = self._socket.recv(_RECEIVE_BYTES)
            start = 0
            while start + 16 <= len(data):
                size, kind, flags, sequence, _ = _HEADER.unpack_from(data, start)
                message = data[start : start + size]
                yield kind, sequence, _error_of(kind, flags, message[16:]), message
                start += (size + 3) & ~3

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def _error_of(kind: int, flags: int, body: bytes) -> tuple[int, str] | None:
    """(errno, the kernel's words) of an error message or of a failed dump; None when all is well."""
    if kind not in (_NLMSG_ERROR, _NLMSG_DONE) or len(body) < 4:
        return None
    number = -int(struct.unpack_from("=i", body)[0])
    if number <= 0:
        return None
    text = os.strerror(number)
    if flags & _NLM_F_ACK_TLVS:
        start = 4
        if kind == _NLMSG_ERROR:
            start = 20 if flags & _NLM_F_CAPPED else 4 + ((u32(body, 4) + 3) & ~3)
        words = attrs(body, start).get(_NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode(errors="replace")
        if words:
            text += f" ({words.rstrip('.')})"
    return number, text
