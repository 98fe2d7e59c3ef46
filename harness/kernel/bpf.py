"""BPF programs that are too small for a compiler or a library: assembled, loaded, and their maps, by bpf(2) itself."""

from __future__ import annotations

import ctypes
import struct

from harness.kernel import syscalls

CLASSIFIER, XDP, RAW_TRACEPOINT = 3, 6, 17
"""Types of programs."""
HASH, ARRAY, PER_CPU_ARRAY, XSKMAP = 1, 2, 6, 17
"""Types of maps."""
MMAPABLE = 1 << 10
"""Of an array: its descriptor can be mapped into memory (Linux 5.5)."""
_MAP_CREATE, _MAP_LOOKUP, _MAP_UPDATE, _LOAD, _RAW_TRACEPOINT_OPEN = 0, 1, 2, 5, 17
_PSEUDO_MAP_FD = 1


def op(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    """One instruction."""
    return struct.pack("=BBhi", code, source << 4 | target, offset, value)


def op_map(target: int, fd: int) -> bytes:
    """The two instructions that have a register point to a map."""
    return op(0x18, target, _PSEUDO_MAP_FD, value=fd) + op(0)


PASS = op(0xB7, value=2) + op(0x95)
"""The XDP program that lets every packet pass."""


def load(kind: int, program: bytes) -> int:
    """A descriptor of a loaded program. Raises OSError: EPERM, EACCES (refused), ENOSYS also on other machines."""
    code, licence = ctypes.create_string_buffer(program), ctypes.create_string_buffer(b"GPL")
    places = (ctypes.addressof(code), ctypes.addressof(licence))
    return syscalls.bpf(_LOAD, struct.pack("=IIQQ", kind, len(program) // 8, *places))


def make_map(kind: int, value_bytes: int, entries: int, flags: int = 0) -> int:
    """A descriptor of a map with keys of 4 bytes. Raises OSError, as `load` does."""
    return syscalls.bpf(_MAP_CREATE, struct.pack("=5I", kind, 4, value_bytes, entries, flags))


def put(fd: int, key: int, value: int) -> None:
    """Set an entry of 4 bytes. Raises OSError."""
    _entry(_MAP_UPDATE, fd, key, ctypes.create_string_buffer(struct.pack("=I", value), 4))


def get(fd: int, key: int, value_bytes: int) -> bytes:
    """An entry; of a map that has it for every possible CPU, all of these. Raises OSError: ENOENT."""
    value = ctypes.create_string_buffer(value_bytes)
    _entry(_MAP_LOOKUP, fd, key, value)
    return value.raw


def on_tracepoint(name: str, program: int) -> int:
    """A descriptor for whose life a raw-tracepoint program runs there. Raises OSError: ENOENT, this kernel has none."""
    text = ctypes.create_string_buffer(name.encode())
    return syscalls.bpf(_RAW_TRACEPOINT_OPEN, struct.pack("=QI4x", ctypes.addressof(text), program))


def _entry(command: int, fd: int, key: int, value: ctypes.Array[ctypes.c_char]) -> None:
    held_key = ctypes.create_string_buffer(struct.pack("=I", key), 4)
    syscalls.bpf(command, struct.pack("=I4xQQQ", fd, ctypes.addressof(held_key), ctypes.addressof(value), 0))
