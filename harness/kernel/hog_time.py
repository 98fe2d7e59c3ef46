"""The CPU time of a run's hogs, so that all of it, and nothing else, can be taken out of what the run cost."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import reduce

from harness.kernel import proc, syscalls
from harness.kernel.hostfiles import HOST
from harness.kernel.over_tasks import OverTasks

_VALUE_BYTES = 8


@dataclass(frozen=True)
class HogTime:
    """CPU time of all hogs of a run, ns.

    run_ns: by the scheduler, which ends a turn at the wake-up call of the task that is to come next. switched_ns: until
    that task really comes, None where that is not known. kernel_ns: in the kernel, by ticks: what they do there, and
    what interrupts and softirqs took of their time. over_ns: the latter alone, exactly, None where that is not known.
    """

    run_ns: int = 0
    switched_ns: int | None = None
    kernel_ns: int = 0
    over_ns: int | None = None

    def minus(self, before: HogTime) -> HogTime:
        """What was used since `before`."""
        return HogTime(
            self.run_ns - before.run_ns,
            _difference(self.switched_ns, before.switched_ns),
            self.kernel_ns - before.kernel_ns,
            _difference(self.over_ns, before.over_ns),
        )


class HogClock(ExitStack):
    """Reads it. From its making to its end the kernel notes, by performance events, when hogs come and go.

    That costs a switch to or from a hog some 0.5 us (docs/statistics.md), and other switches next to nothing.
    """

    def __init__(self, pids: Iterable[int] = (), softirqs: bool = False) -> None:
        """pids: the hogs' processes; threads and processes that they start later are in switched_ns too.

        softirqs: they have some of their own, which nothing tells from those that were taken over them.
        """
        super().__init__()
        self._pids = list(pids)
        self._over: OverTasks | None = None
        self._events: list[int] | None = []
        self._run_ns = 0
        try:
            for tid in _threads_of(self._pids):
                with suppress(ProcessLookupError):  # it has ended: then it takes no time
                    self._events.append(syscalls.task_clock(tid))
                    self.callback(os.close, self._events[-1])
        except OSError:  # no such events in this kernel, or not for us: a part of the hogs would look like all of them
            self.close()
            self._events = None
        if self._pids and not softirqs:
            with suppress(OSError):  # no such programs in this kernel, or not for us: ticks must do
                self._over = self.enter_context(OverTasks(self._pids))

    def read(self) -> HogTime:
        """Since the hogs began; switched_ns and over_ns since the clock was made."""
        switched_ns = None if self._events is None else sum(map(_value_of, self._events))
        usage = reduce(proc.ProcessUsage.plus, map(_usage_of, self._pids), proc.ProcessUsage())
        self._run_ns = max(self._run_ns, usage.cpu_ns)  # of a hog that has ended nothing can be read any more
        over_ns = None if self._over is None else self._over.read_ns()
        return HogTime(self._run_ns, switched_ns, usage.system_ns, over_ns)


def _difference(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


def _threads_of(pids: Iterable[int]) -> list[int]:
    threads: list[int] = []
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            threads += map(int, HOST.list(f"/proc/{pid}/task"))
    return threads


def _usage_of(pid: int) -> proc.ProcessUsage:
    """Of a process with the children that it outlived, theirs to 10 ms: a stressor that forks has its time in them."""
    usage = proc.process_usage(pid)
    with suppress(OSError):
        user_ns, system_ns = (int(ticks) * proc.TICK_NS for ticks in proc.stat_fields(pid)[13:15])
        usage = replace(usage, cpu_ns=usage.cpu_ns + user_ns + system_ns, system_ns=usage.system_ns + system_ns)
    return usage


def _value_of(event: int) -> int:
    return int.from_bytes(os.read(event, _VALUE_BYTES), "little")
