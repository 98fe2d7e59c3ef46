"""The time of a run's CPU set: idle, stolen, of the hogs, and what the host does by itself in an idle window."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from harness.kernel import proc
from harness.kernel.idle_clock import IdleClock, idle_clocks
from harness.kernel.proc import ProcessUsage
from harness.run import interference
from harness.signals import Stopper

QUIET_S = 0.05
"""Length of the idle window before a run's programs start."""

QUIET_LIMIT = 0.01
"""More than this share of the set's time is never taken out as background: it would be no background."""


@dataclass(frozen=True)
class SetReading:
    """The idle clocks of the set, pollbench's own CPU time, and the hogs' usage, read at the same moment.

    irq_timed: this kernel times interrupts. One that only samples by ticks finds an interrupt handler where that let
    itself be interrupted, which none does.
    """

    clocks: dict[int, IdleClock]
    own_ns: int
    hogs: ProcessUsage
    irq_timed: bool


@dataclass(frozen=True)
class SetTime:
    """The time of a CPU set between two readings: sums over its CPUs, ns.

    idle_ns: interrupts and softirqs taken in idle are not in it; unsure_ns: how far idle_ns may be off; steal_ns: by
    ticks, taken by the hypervisor; irq_ns: in interrupts and softirqs by ticks, which see those over a task only;
    irq_exact: the kernel times interrupts and softirqs itself, so irq_ns is exact and no task's run time holds any;
    own_ns: of pollbench; hogs: their usage; background_ns: what an idle set does by itself in that time; apart: how
    long before and after it the tasks' run times may have been read, as a share of it.
    """

    elapsed_ns: int
    idle_ns: int
    unsure_ns: int
    steal_ns: int
    irq_ns: int
    irq_exact: bool
    own_ns: int
    hogs: ProcessUsage
    background_ns: int
    apart: float


def read_set(cpus: Collection[int], hogs: ProcessUsage) -> SetReading:
    """Read the set's clocks. hogs: their usage, read just before."""
    irq_timed = any(states.get("irq", 0) for states in proc.cpu_ticks().values())
    return SetReading(idle_clocks(cpus), time.process_time_ns(), hogs, irq_timed)


def set_time(
    after: SetReading, before: SetReading, ticks: Mapping[int, Mapping[str, int]], quiet: float = 0.0, apart_ns: int = 0
) -> SetTime | None:
    """The time of the set between two readings; None where its CPUs cannot be read.

    ticks: what each CPU's line of /proc/stat grew by; quiet: the share that background takes, 0..1;
    apart_ns: how long the reading of all other counters took, both times together.
    """
    cpus = after.clocks.keys() & before.clocks.keys() & ticks.keys()
    if not cpus:
        return None
    pairs = [(after.clocks[cpu], before.clocks[cpu]) for cpu in cpus]
    elapsed_ns = sum(end.at_ns - begin.at_ns for end, begin in pairs)
    grown = {state: sum(ticks[cpu].get(state, 0) for cpu in cpus) for state in ("irq", "softirq", "steal")}
    return SetTime(
        elapsed_ns=elapsed_ns,
        idle_ns=sum(end.idle_ns - begin.idle_ns for end, begin in pairs),
        unsure_ns=sum(end.unsure_ns + begin.unsure_ns for end, begin in pairs),
        steal_ns=grown["steal"] * proc.TICK_NS,
        irq_ns=(grown["irq"] + grown["softirq"]) * proc.TICK_NS,
        irq_exact=after.irq_timed,
        own_ns=after.own_ns - before.own_ns,
        hogs=after.hogs.minus(before.hogs),
        background_ns=round(quiet * elapsed_ns),
        apart=apart_ns * len(cpus) / elapsed_ns if elapsed_ns else 0.0,
    )


def quiet_share(cpus: set[int], stopper: Stopper) -> float:
    """What the host does on the set while no program of the run is there: a share of its time, 0..QUIET_LIMIT.

    Ticks, kernel threads, interrupts of other devices; other programs' time is not in it, since it is known exactly
    and taken out by itself.
    """
    nobody = ProcessUsage()
    tasks, before = proc.tasks(), read_set(cpus, nobody)
    stopper.pause(QUIET_S)
    after, tasks_after = read_set(cpus, nobody), proc.tasks()
    time_of_set = set_time(after, before, {cpu: {} for cpu in cpus})
    if time_of_set is None or not time_of_set.elapsed_ns:
        return 0.0
    others_ns = interference.compare(tasks_after, tasks, cpus, {os.getpid()}, 1.0).others_ns
    busy_ns = time_of_set.elapsed_ns - time_of_set.idle_ns - time_of_set.own_ns - others_ns
    return min(max(busy_ns / time_of_set.elapsed_ns, 0.0), QUIET_LIMIT)
