"""An AF_XDP socket that receives: frames, rings, and the XDP program that hands it the UDP datagrams of one port."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import socket
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

from harness.kernel import bpf, ethtool, links, syscalls
from harness.kernel.bpf import op
from harness.kernel.netlink import NetlinkSocket, Request, attr_u32, nest
from harness.kernel.syscalls import held

# linux/if_xdp.h
_AF_XDP, _SOL_XDP = 44, 283
_OFFSETS, _RX_RING, _UMEM_REG, _FILL_RING, _COMPLETION_RING = 1, 2, 4, 5, 6
_PAGE_OF_RX, _PAGE_OF_FILL = 0, 0x100000000
COPY, ZERO_COPY, _NEED_WAKEUP = 1 << 1, 1 << 2, 1 << 3
# More frames than any driver's ring has room for: one that cannot fill its own begins anew with every poll.
_ENTRIES, _FRAME_BYTES, _DESCRIPTOR_BYTES = 2048, 2048, 16
_REDIRECT_MAP = 51
_IFLA_XDP, _XDP_FD, _XDP_FLAGS, IN_DRIVER, _GENERIC = 43, 1, 3, 1 << 2, 1 << 1
_XDP_PASS, _HEAD_BYTES = 2, 42
# Of a frame: bytes of a field, where it is, its value.
_ETHERTYPE, _PROTOCOL, _PORT_AT = (2, 12, socket.htons(0x0800)), (1, 23, socket.IPPROTO_UDP), 36
_LOAD = {1: 0x71, 2: 0x69, 4: 0x61}
# The kernel gives a queue back some time after the socket before us was closed; and a NIC may negotiate anew.
_RELEASE_S, _PAUSE_S, _LINK_S = 1.0, 0.01, 10.0


class Receiver(NamedTuple):
    """A bound socket, and its rings as memory that the kernel writes, with where in them a place is kept."""

    socket: socket.socket
    ring: mmap.mmap
    producer: int
    consumer: int

    def take(self) -> bool:
        """Take one frame; False: there is none."""
        at = self._at(self.consumer)
        if self._at(self.producer) == at:
            return False
        struct.pack_into("=I", self.ring, self.consumer, at + 1 & 0xFFFFFFFF)
        return True

    def _at(self, offset: int) -> int:
        return int(struct.unpack_from("=I", self.ring, offset)[0])


@contextlib.contextmanager
def receiving(device: str, port: int, mode: int) -> Iterator[Receiver]:
    """A socket on queue 0 of a device of this thread's namespace, for the block; mode: COPY or ZERO_COPY.

    The program is the driver's own where the driver takes one. Raises OSError, which says what the kernel refused.
    """
    ifindex = socket.if_nametoindex(device)
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket(_AF_XDP, socket.SOCK_RAW))
        frames = stack.enter_context(mmap.mmap(-1, _ENTRIES * _FRAME_BYTES))
        place = ctypes.addressof(ctypes.c_char.from_buffer(frames))
        sock.setsockopt(_SOL_XDP, _UMEM_REG, struct.pack("=QQII8x", place, len(frames), _FRAME_BYTES, 0))
        for ring in (_FILL_RING, _COMPLETION_RING, _RX_RING):
            sock.setsockopt(_SOL_XDP, ring, _ENTRIES)
        offsets = struct.unpack("=16Q", sock.getsockopt(_SOL_XDP, _OFFSETS, 128))
        received, fill = offsets[:4], offsets[8:12]
        handed = stack.enter_context(mmap.mmap(sock.fileno(), fill[2] + 8 * _ENTRIES, offset=_PAGE_OF_FILL))
        struct.pack_into(f"={_ENTRIES}Q", handed, fill[2], *range(0, len(frames), _FRAME_BYTES))
        struct.pack_into("=I", handed, fill[0], _ENTRIES)
        # Before the socket is bound: Linux 6.1 maps no ring of one that is.
        size = received[2] + _DESCRIPTOR_BYTES * _ENTRIES
        ring = stack.enter_context(mmap.mmap(sock.fileno(), size, offset=_PAGE_OF_RX))
        _bind(sock, ifindex, mode)
        fd = stack.enter_context(held(_map_of(sock)))
        program = stack.enter_context(held(bpf.load(bpf.XDP, _redirecting(fd, port))))
        stack.enter_context(_attached(ifindex, program))
        ethtool.await_carrier(device, _LINK_S)
        yield Receiver(sock, ring, received[0], received[1])


def attach(ifindex: int, program: int, flags: int) -> Request:
    """The request that puts an XDP program on a device; program -1 takes it off."""
    xdp = nest(_IFLA_XDP, attr_u32(_XDP_FD, program & 0xFFFFFFFF), attr_u32(_XDP_FLAGS, flags))
    body = links.IFINFO.pack(0, 0, 0, ifindex, 0, 0) + xdp
    return Request(links.RTM_NEWLINK, 0, body, f"attach XDP to device {ifindex}")


@contextlib.contextmanager
def _attached(ifindex: int, program: int) -> Iterator[None]:
    """The program on the device for the block: the driver's own, or else a generic one."""
    with NetlinkSocket() as sock:
        flags = IN_DRIVER
        try:
            sock.batch([attach(ifindex, program, flags)])
        except OSError:
            flags = _GENERIC
            sock.batch([attach(ifindex, program, flags)])
        try:
            yield
        finally:
            sock.batch([attach(ifindex, -1, flags)])


def _bind(sock: socket.socket, ifindex: int, mode: int) -> None:
    address = struct.pack("=HHIII", _AF_XDP, mode | _NEED_WAKEUP, ifindex, 0, 0)
    deadline = time.monotonic() + _RELEASE_S
    while True:
        try:
            return syscalls.bind(sock.fileno(), address)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                what = "zero copy" if mode == ZERO_COPY else "copy mode"
                raise OSError(error.errno, f"bind in {what}: {os.strerror(error.errno or 0)}") from None
        time.sleep(_PAUSE_S)


def _map_of(sock: socket.socket) -> int:
    """A descriptor of a map with this socket for queue 0."""
    fd = bpf.make_map(bpf.XSKMAP, 4, 4)
    try:
        bpf.put(fd, 0, sock.fileno())
    except OSError:
        os.close(fd)
        raise
    return fd


def _redirecting(fd: int, port: int) -> bytes:
    """What hands the datagrams to a port on to the socket in the map, and lets all else pass."""
    tests = (_ETHERTYPE, _PROTOCOL, (2, _PORT_AT, socket.htons(port)))
    to_pass = 2 * len(tests) + 7
    code = [op(0x61, 2, 1, 0), op(0x61, 3, 1, 4), op(0xBF, 4, 2), op(0x07, 4, value=_HEAD_BYTES)]
    # r4 beyond the end of the frame: pass.
    code.append(op(0x2D, 4, 3, to_pass - 1))
    for number, (size, offset, value) in enumerate(tests):
        code += [op(_LOAD[size], 5, 2, offset), op(0x55, 5, 0, to_pass - 3 - 2 * number, value)]
    code += [op(0x61, 2, 1, 16), bpf.op_map(1, fd)]
    code += [op(0xB7, 3, value=_XDP_PASS), op(0x85, value=_REDIRECT_MAP), op(0x95)]
    return b"".join([*code, op(0xB7, value=_XDP_PASS), op(0x95)])
