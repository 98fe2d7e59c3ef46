"""The idle states of CPUs: how often each was entered, and the limit on how long one may take to leave."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Collection, Iterator
from typing import NamedTuple

from harness.kernel.hostfiles import HOST, HostFiles
from harness.kernel.syscalls import held

_LIMIT = "/dev/cpu_dma_latency"
_VALUE = struct.Struct("=i")


class IdleState(NamedTuple):
    """One idle state of a set of CPUs: us to leave it, and how often they entered it."""

    name: str
    exit_us: int
    entries: int


def idle_states(cpus: Collection[int], files: HostFiles = HOST) -> tuple[IdleState, ...]:
    """The states of these CPUs since boot, the shallowest first; none without a driver of idle states."""
    entries: dict[tuple[int, str], int] = {}
    for cpu in sorted(cpus):
        for state in files.find(f"/sys/devices/system/cpu/cpu{cpu}/cpuidle/state*"):
            name, exit_us, used = (files.text(f"{state}/{key}") for key in ("name", "latency", "usage"))
            if name is not None and exit_us is not None and used is not None:
                entries[int(exit_us), name] = entries.get((int(exit_us), name), 0) + int(used)
    return tuple(IdleState(name, exit_us, count) for (exit_us, name), count in sorted(entries.items()))


@contextlib.contextmanager
def limited_latency(max_us: int) -> Iterator[tuple[int, int]]:
    """Keep CPUs out of idle states that take longer to leave, for the block; the limit before, and now.

    The least of all that are held counts. Raises OSError: ENOENT (no such kernel), EACCES.
    """
    with held(os.open(_LIMIT, os.O_RDWR | os.O_CLOEXEC)) as fd:
        before = _limit(fd)
        os.write(fd, _VALUE.pack(max_us))
        yield before, _limit(fd)


def _limit(fd: int) -> int:
    return int(_VALUE.unpack(os.pread(fd, _VALUE.size, 0))[0])
