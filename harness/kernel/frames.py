"""Raw frames on one end of a link, and its counters: what a link does can be seen without any address on it."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from types import TracebackType
from typing import Self

from harness.kernel.links import LinkState, link_dump_one
from harness.kernel.netlink import NetlinkSocket
from harness.kernel.netns import in_netns

# For experiments on one's own network (IEEE 802, "Local Experimental Ethertype 1").
ETHERTYPE = 0x88B5
HEADER_BYTES = 14

_SO_TIMESTAMPNS, _SCM_TIMESTAMPNS = 35, 35
_TIMESPEC = struct.Struct("=qq")
_NUMBER = struct.Struct("!Iq")
_SMALLEST = 60


class FrameEnd:
    """One end of a link: sends frames of ours to the other end, receives them with the kernel's time stamps."""

    def __init__(self, netns_fd: int, device: str, ifindex: int, mac: bytes, peer_mac: bytes) -> None:
        """Raises OSError: EPERM, ENODEV."""
        self._head = peer_mac + mac + struct.pack("!H", ETHERTYPE)
        self._ifindex = ifindex
        with in_netns(netns_fd), contextlib.ExitStack() as stack:
            self._netlink = stack.enter_context(NetlinkSocket())
            self._socket = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            self._socket.bind((device, ETHERTYPE))
            self._stack = stack.pop_all()

    def fileno(self) -> int:
        """Of the frames' socket, to wait for what arrives."""
        return self._socket.fileno()

    def send(self, size_bytes: int, number: int = 0, at_ns: int = 0) -> bool:
        """Send a frame of this size (with its header) that carries a number and a time; False: the queue is full."""
        return self.send_many(size_bytes, 1, number, at_ns) == 1

    def send_many(self, size_bytes: int, count: int, number: int = 0, at_ns: int = 0) -> int:
        """Send the same frame `count` times, up to where the queue is full; how many went."""
        body = _NUMBER.pack(number, at_ns)
        frame = self._head + body + bytes(max(size_bytes, _SMALLEST) - HEADER_BYTES - len(body))
        send, done = self._socket.send, 0
        try:
            while done < count:
                send(frame)
                done += 1
        except OSError as error:
            if error.errno in (errno.ENOBUFS, errno.EAGAIN):
                return done
            raise
        return done

    def received(self) -> list[tuple[int, int, int]]:
        """(number, time sent, time received, both as given) of every frame that has arrived; times in ns since 1970."""
        found: list[tuple[int, int, int]] = []
        while True:
            try:
                data, control, _, sender = self._socket.recvmsg(2048, 64)
            except BlockingIOError:
                return found
            if sender[2] == socket.PACKET_OUTGOING:
                continue
            for level, kind, value in control:
                if (level, kind) == (socket.SOL_SOCKET, _SCM_TIMESTAMPNS):
                    seconds, rest_ns = _TIMESPEC.unpack_from(value)
                    number, sent_ns = _NUMBER.unpack_from(data, HEADER_BYTES)
                    found.append((number, sent_ns, seconds * 10**9 + rest_ns))

    def state(self) -> LinkState:
        """The device with its counters."""
        return link_dump_one(self._netlink, self._ifindex)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
