"""An io_uring that receives from one socket, one message after another, with NAPI busy polling registered."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import struct
from collections.abc import Iterator

from harness.kernel import syscalls
from harness.kernel.syscalls import held

# linux/io_uring.h
_SQ_RING, _CQ_RING, _SQES = 0, 0x8000000, 0x10000000
_GETEVENTS, _EXT_ARG, _OP_RECV, _REGISTER_NAPI = 1, 8, 27, 27
_ENTRIES, _PARAMETERS_BYTES, _SQE_BYTES, _CQE_BYTES = 8, 120, 64, 16


class Ring:
    """A ring of the calling thread, which alone may use it."""

    def __init__(self, fd: int, parameters: bytes, stack: contextlib.ExitStack) -> None:
        sq_entries, cq_entries = struct.unpack_from("=II", parameters)
        sq, cq = struct.unpack_from("=10I", parameters, 40), struct.unpack_from("=10I", parameters, 80)
        sizes = {_SQ_RING: sq[6] + 4 * sq_entries, _CQ_RING: cq[5] + _CQE_BYTES * cq_entries, _SQES: _SQE_BYTES}
        maps = [stack.enter_context(mmap.mmap(fd, size, offset=offset)) for offset, size in sizes.items()]
        self._fd, self._sq, self._cq, self._sqe = fd, *maps
        # What the kernel writes a message to: of a receive that was given up too, until the ring is closed.
        self._buffers: list[ctypes.Array[ctypes.c_char]] = []
        self._tail, self._ends, self._cqes, self._mask = sq[1], cq[:2], cq[5], cq_entries - 1

    def poll_for(self, usecs: int) -> None:
        """Have waits busy-poll the NAPIs of what is received from. Raises OSError: EINVAL before Linux 6.9."""
        napi = ctypes.create_string_buffer(struct.pack("=IB11x", usecs, 0), 16)
        syscalls.io_uring_register(self._fd, _REGISTER_NAPI, napi, 1)

    def receive(self, sock: int, size: int, patience_s: float) -> bool:
        """Receive one message; False: none came in that time. Raises OSError."""
        buffer = ctypes.create_string_buffer(size)
        self._buffers.append(buffer)
        entry = struct.pack("=BBHiQQIIQ24x", _OP_RECV, 0, 0, sock, 0, ctypes.addressof(buffer), size, 0, 1)
        self._sqe[:] = entry
        tail = struct.unpack_from("=I", self._sq, self._tail)[0]
        # The array that the kernel looks its entries up in is all zeros: every place means the first entry.
        struct.pack_into("=I", self._sq, self._tail, tail + 1 & 0xFFFFFFFF)
        time = ctypes.create_string_buffer(struct.pack("=qq", *divmod(int(patience_s * 1e9), 10**9)), 16)
        how = ctypes.create_string_buffer(struct.pack("=QIIQ", 0, 0, 0, ctypes.addressof(time)), 24)
        try:
            syscalls.io_uring_enter(self._fd, 1, 1, _GETEVENTS | _EXT_ARG, how, 24)
        except OSError as error:
            if error.errno != errno.ETIME:
                raise
        return self._taken()

    def _taken(self) -> bool:
        # Side by side in later kernels; in Linux 6.1 each has a cache line of its own.
        head, tail = (struct.unpack_from("=I", self._cq, offset)[0] for offset in self._ends)
        if head == tail:
            return False
        result = struct.unpack_from("=i", self._cq, self._cqes + _CQE_BYTES * (head & self._mask) + 8)[0]
        struct.pack_into("=I", self._cq, self._ends[0], head + 1 & 0xFFFFFFFF)
        if result < 0:
            raise OSError(-result, "receive by io_uring")
        return bool(result)


@contextlib.contextmanager
def made() -> Iterator[Ring]:
    """A ring for the block. Raises OSError: ENOSYS, EPERM where io_uring is off."""
    parameters = ctypes.create_string_buffer(_PARAMETERS_BYTES)
    with contextlib.ExitStack() as stack:
        fd = stack.enter_context(held(syscalls.io_uring_setup(_ENTRIES, parameters)))
        yield Ring(fd, parameters.raw, stack)
