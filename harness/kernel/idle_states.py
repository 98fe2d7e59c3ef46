"""The idle states of CPUs: how often and for how long each was entered, and the limit on the time to leave one."""

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
_TOLD = ("latency", "name", "usage", "time")


class IdleState(NamedTuple):
    """One idle state of a set of CPUs: us to leave it, how often they entered it, and the us that they were in it."""

    name: str
    exit_us: int
    entries: int
    time_us: int


def idle_states(cpus: Collection[int], files: HostFiles = HOST) -> tuple[IdleState, ...]:
    """The states of these CPUs since boot, the shallowest first; none without a driver of idle states."""
    counts: dict[tuple[int, str], tuple[int, int]] = {}
    for cpu in sorted(cpus):
        for state in files.find(f"/sys/devices/system/cpu/cpu{cpu}/cpuidle/state*"):
            exit_us, name, used, time_us = (files.text(f"{state}/{key}") for key in _TOLD)
            if name is not None and exit_us is not None and used is not None and time_us is not None:
                entries, before_us = counts.get((int(exit_us), name), (0, 0))
                counts[int(exit_us), name] = entries + int(used), before_us + int(time_us)
    return tuple(IdleState(name, exit_us, *of_both) for (exit_us, name), of_both in sorted(counts.items()))


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
