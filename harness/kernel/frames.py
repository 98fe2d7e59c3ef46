"""Raw frames on one end of a link, and its counters: what a link does can be seen without any address on it."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import struct
import zlib
from typing import Self

from harness.kernel.links import link_statistics
from harness.kernel.netlink import NetlinkSocket
from harness.kernel.netns import in_netns
from harness.kernel.readback import dump

# For experiments on one's own network (IEEE 802, "Local Experimental Ethertype 1").
ETHERTYPE = 0x88B5
HEADER_BYTES = 14

_SO_TIMESTAMPNS, _SCM_TIMESTAMPNS, _SO_SNDBUFFORCE = 35, 35, 32
_SOL_PACKET, _PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING = 263, 15, 23
# A bridge takes the frames of its ports before sockets that ask for one EtherType are looked for; one that asks for all
# sees them first. A filter leaves it those that it is for (classic BPF: code, jumps, operand).
_ALL, _SO_ATTACH_FILTER = 3, 26
_FILTER = struct.Struct("=HBBI")
_LOAD_HALF, _IF_EQUAL, _RETURN = 0x28, 0x15, 0x06
# What waits in a queue is on the sender's account: room for 20 ms at 20 Gbit/s.
_SEND_BYTES = 64 << 20
# Of struct virtio_net_hdr: flags, type, length of the headers, bytes in a segment, where the checksum starts and goes.
_OFFLOAD = struct.Struct("=BBHHHH")
_NEEDS_CHECKSUM, _SEGMENTS_TCPV4, _CHECKSUM_OFFSET = 1, 1, 16
_IP_BYTES, _TCP_BYTES, _PACKET_MAX = 20, 20, 65535
_TIMESPEC = struct.Struct("=qq")
_NUMBER, _SUM = struct.Struct("!Iq"), struct.Struct("!I")
_NUMBERED = HEADER_BYTES + _SUM.size
_SUMMED = slice(HEADER_BYTES, _NUMBERED)
_SMALLEST = 60


class FrameEnd:
    """One end of a link: sends frames of ours to the other end, receives them with the kernel's time stamps.

    damaged: how many have come that were not as they were sent.
    """

    def __init__(self, netns_fd: int, device: str, ifindex: int, mac: bytes, peer_mac: bytes) -> None:
        """Open the end of a link that is up. Raises OSError: EPERM without root, ENODEV if the device is gone."""
        self._head = peer_mac + mac + struct.pack("!H", ETHERTYPE)
        self._own_head = mac + peer_mac + self._head[12:]
        self.damaged = 0
        self._ifindex, self._netns_fd, self._device = ifindex, netns_fd, device
        with contextlib.ExitStack() as stack:
            with in_netns(netns_fd):
                self._netlink = stack.enter_context(NetlinkSocket())
            options = (socket.SOL_SOCKET, _SO_TIMESTAMPNS), (_SOL_PACKET, _PACKET_IGNORE_OUTGOING)
            self._socket = stack.enter_context(_packet_socket(netns_fd, device, _ALL, *options, only=ETHERTYPE))
            self._stack = stack.pop_all()

    def fileno(self) -> int:
        """Of the frames' socket, to wait for what arrives."""
        return self._socket.fileno()

    def send(self, size_bytes: int, number: int = 0, at_ns: int = 0) -> bool:
        """Send a frame of this size (with its header) that carries a number and a time; False: the queue is full."""
        return self.send_many(size_bytes, 1, number, at_ns) == 1

    def send_many(self, size_bytes: int, count: int, number: int = 0, at_ns: int = 0) -> int:
        """Send the same frame `count` times, up to where the queue is full; how many went."""
        room = max(size_bytes, _SMALLEST) - HEADER_BYTES - _SUM.size
        body = _NUMBER.pack(number, at_ns).ljust(room, b"\0")
        return _send_many(self._socket, self._head + _SUM.pack(zlib.crc32(body)) + body, count)

    def joined(self, mtu: int, count: int) -> JoinedFrames:
        """A sender of `count` full frames at once, to the same end. Close it. Raises OSError."""
        return JoinedFrames(self._netns_fd, self._device, self._head[:12], mtu, count)

    def received(self) -> list[tuple[int, int, int]]:
        """(number, time sent, time received, both as given) of every whole frame that has come; in ns since 1970."""
        frames: list[tuple[int, int, int]] = []
        while True:
            try:
                data, control, _, _ = self._socket.recvmsg(2048, 64)
            except BlockingIOError:
                return frames
            if data[:HEADER_BYTES] != self._own_head or _SUM.pack(zlib.crc32(data[_NUMBERED:])) != data[_SUMMED]:
                self.damaged += 1
                continue
            for level, kind, value in control:
                if (level, kind) == (socket.SOL_SOCKET, _SCM_TIMESTAMPNS):
                    seconds, rest_ns = _TIMESPEC.unpack_from(value)
                    number, sent_ns = _NUMBER.unpack_from(data, _NUMBERED)
                    frames.append((number, sent_ns, seconds * 10**9 + rest_ns))

    def statistics(self) -> dict[str, int]:
        """The device's counters."""
        (counters,) = link_statistics(self._netlink, self._ifindex).values()
        return counters

    def throttled(self) -> int:
        """How often a queue of the device had something to send and was not allowed to. Raises OSError."""
        own = (state for state in dump(self._netlink) if state.ifindex == self._ifindex)
        return sum(state.statistics.get("overlimits", 0) for state in own)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class JoinedFrames:
    """Frames of a link's full size that pass the kernel as one packet, as TCP's do until a driver cuts them apart.

    A queue counts such a packet with the headers that its segments will have. Nobody takes them: they are addressed to
    127.0.0.1, which no device may receive. bytes_on_wire: of all frames that one send joins.
    """

    def __init__(self, netns_fd: int, device: str, macs: bytes, mtu: int, count: int) -> None:
        self._full = HEADER_BYTES + mtu
        segment = mtu - _IP_BYTES - _TCP_BYTES
        self._count = max(1, min(count, (_PACKET_MAX - _IP_BYTES - _TCP_BYTES) // segment))
        self.bytes_on_wire = self._count * self._full
        self._packet = _joined(macs, segment, self._count * segment)
        self._socket = _packet_socket(netns_fd, device, 0, (_SOL_PACKET, _PACKET_VNET_HDR))

    def send_many(self, count: int) -> int:
        """Send so many, up to where the queue is full; how many went. Raises OSError."""
        return _send_many(self._socket, self._packet, count)

    def arrived(self, before: dict[str, int], now: dict[str, int]) -> float:
        """How many have arrived at a device between these states of its counters, whole or in segments."""
        packets, received = (now[key] - before[key] for key in ("rx_packets", "rx_bytes"))
        return float(packets) if received > packets * self._full else packets / self._count

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _packet_socket(
    netns_fd: int, device: str, protocol: int, *options: tuple[int, int], only: int | None = None
) -> socket.socket:
    """A socket for raw frames of a device, which waits for nothing, with options (level, name) set.

    only: the EtherType of the frames that it is to get, of those of `protocol`.
    """
    with in_netns(netns_fd), contextlib.ExitStack() as stack:
        try:
            sock = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        except PermissionError as error:
            raise PermissionError(
                error.errno, f"check the links by raw frames: {error.strerror}; add CAP_NET_RAW"
            ) from None
        sock.setblocking(False)
        for option in options:
            sock.setsockopt(*option, 1)
        if only is not None:
            _let_in_only(sock, only)
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BYTES)
        sock.bind((device, protocol))
        stack.pop_all()
        return sock


def _let_in_only(sock: socket.socket, ethertype: int) -> None:
    """Have a packet socket take frames of one EtherType."""
    program = (_LOAD_HALF, 0, 0, 12), (_IF_EQUAL, 0, 1, ethertype), (_RETURN, 0, 0, 0xFFFF), (_RETURN, 0, 0, 0)
    code = ctypes.create_string_buffer(b"".join(_FILTER.pack(*instruction) for instruction in program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))


def _joined(macs: bytes, segment: int, payload: int) -> bytes:
    """A packet with a virtio_net_hdr before it, as a packet socket takes it."""
    headers = HEADER_BYTES + _IP_BYTES + _TCP_BYTES
    start = HEADER_BYTES + _IP_BYTES
    kind = _SEGMENTS_TCPV4 if payload > segment else 0
    offload = _OFFLOAD.pack(_NEEDS_CHECKSUM, kind, headers, segment if kind else 0, start, _CHECKSUM_OFFSET)
    source, target = socket.inet_aton("192.0.2.1"), socket.inet_aton("127.0.0.1")
    parts = (0x45, 0, _IP_BYTES + _TCP_BYTES + payload, 0, 0, 64, socket.IPPROTO_TCP)
    bare = struct.pack("!BBHHHBBH4s4s", *parts, 0, source, target)
    ip = struct.pack("!BBHHHBBH4s4s", *parts, _checksum(bare), source, target)
    tcp = struct.pack("!HHIIBBHHH", 9, 9, 0, 0, _TCP_BYTES // 4 << 4, 0x10, 0xFFFF, 0, 0)
    return offload + macs + struct.pack("!H", 0x0800) + ip + tcp + bytes(payload)


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _send_many(sock: socket.socket, packet: bytes, count: int) -> int:
    send, done = sock.send, 0
    try:
        while done < count:
            send(packet)
            done += 1
    except OSError as error:
        if error.errno not in (errno.ENOBUFS, errno.EAGAIN):
            raise
    return done
