"""Reads the load generator's sample file, whatever columns it announces, into a numpy structured array."""

from __future__ import annotations

import os
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import PollbenchError

MAGIC = b"PBSAMP02"
UNKNOWN_NS = -(2**63)
"""A phase that no time stamp told."""
LOST_NS = -1
"""The latency and service time of a request that was never answered."""
_HEADER = struct.Struct("<8sIIQqqI20x")
_COLUMN = struct.Struct("<24s8s")


def read(source: int | bytes) -> npt.NDArray[Any]:
    """The records of a sample file, given as an open file descriptor or as bytes.

    Every array has intended_ns, latency_ns, service_ns and connection; with phases also the phase_* columns.
    Raises PollbenchError when the file is not whole or is none.
    """
    data = source if isinstance(source, bytes) else _whole(source)
    if len(data) < _HEADER.size or data[: len(MAGIC)] != MAGIC:
        raise _damaged(f"{len(data)} bytes that do not begin with {MAGIC.decode()}")
    _, record_bytes, _, count, _, _, columns = _HEADER.unpack_from(data)
    first = _HEADER.size + columns * _COLUMN.size
    if len(data) != first + count * record_bytes:
        raise _damaged(f"{len(data)} bytes, {count} records of {record_bytes} bytes announced")
    table = [_COLUMN.unpack_from(data, _HEADER.size + i * _COLUMN.size) for i in range(columns)]
    return np.frombuffer(data, _record(table, record_bytes), count, first)


def _record(table: list[tuple[bytes, bytes]], record_bytes: int) -> np.dtype[Any]:
    """The type of a record, from the column table."""
    names = [name.rstrip(b"\0").decode(errors="replace") for name, _ in table]
    try:
        types = [np.dtype(code.rstrip(b"\0").decode()) for _, code in table]
        offsets = [sum(earlier.itemsize for earlier in types[:i]) for i in range(len(types))]
        return np.dtype({"names": names, "formats": types, "offsets": offsets, "itemsize": record_bytes})
    except (TypeError, ValueError) as error:
        raise _damaged(f"a column table that makes no sense: {error}") from error


def _whole(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    data = os.pread(fd, size, 0)
    while len(data) < size:  # one read(2) moves at most 2 GiB
        more = os.pread(fd, size - len(data), len(data))
        if not more:
            break
        data += more
    return data


def _damaged(got: str) -> PollbenchError:
    return PollbenchError("read the samples", "the client's sample file", got)
