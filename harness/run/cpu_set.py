"""The time of a run's CPU set: idle, stolen, of the hogs, of other programs, and what the host does by itself."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.kernel import proc
from harness.kernel.hog_time import HogClock, HogTime
from harness.kernel.idle_clock import IdleClock, idle_clocks, taken_while_spinning
from harness.kernel.proc import Tasks, described, task_place
from harness.signals import Stopper
from harness.spec.checks import Checks

QUIET_S = 0.05
"""Length of the idle window before a run's programs start, where the run is not short."""

# Of a short run's time the look may take this share, but what a look tells is not much below so many seconds.
_OF_RUN, _SHORTEST_S = 0.01, 0.01
_PAUSE_S = 0.1
# An idle CPU is not stolen from: only who spins on it sees that. Of a large set some CPUs tell enough.
_MOST_SPUN, _STOLEN, _SPUN = 4, 0.25, 0.04

QUIET_LIMIT = 0.01
"""More than this share of the set's time is never taken out as background: it would be no background."""
ENDED = "programs that have ended"
# They do the workload's own packet processing.
_BACKLOG = "backlog_napi/"
_OURS_TOO = ("ksoftirqd/", "napi/", _BACKLOG)
_KTHREADD = 2


@dataclass
class CpuInterference:
    """Run time between two readings, ns, exact to the scheduler where the task still lived at the second.

    busy_ns: of all tasks on the set. by_cpu, by_name: of other programs' tasks. Of programs that began or ended in
    between only the sum is known, to 10 ms, and not the CPU: ended_ns, the set's share of it by its share of the ticks.
    worst_on: by CPU, the process of others with most time there, in words. worst_process: pid, owner and command line
    of the process with most time of the name with most time, in words. kernel_ns: of kernel threads on the set,
    ksoftirqd and NAPI threads among them; others_ns: of other programs, what has ended included. backlog_ns: of the
    kernel's threads of backlogs (`thread_backlog_napi`) on all CPUs, for RPS steers to any.
    """

    busy_ns: int = 0
    ended_ns: int = 0
    by_cpu: dict[int, int] = field(default_factory=dict)
    by_name: dict[str, int] = field(default_factory=dict)
    worst_process: str = ""
    kernel_ns: int = 0
    backlog_ns: int = 0
    others_ns: int = 0
    worst_on: dict[int, str] = field(default_factory=dict)

    def worst_cpu_ns(self) -> int:
        """Other programs' time on the CPU that had most of it; what has ended is taken to have run there."""
        return max(self.by_cpu.values(), default=0) + self.ended_ns

    def worst_name(self) -> str:
        """The name of the other program that had most time, and of its process with most: pid, owner, command."""
        named = self.by_name | {ENDED: self.ended_ns}
        name = max(named, key=named.__getitem__)
        if name == ENDED or not self.worst_process:
            return name
        return f"{name} ({self.worst_process})"


def interference(after: Tasks, before: Tasks, cpus: set[int], ours: set[int], set_share: float) -> CpuInterference:
    """The run time of tasks on `cpus` between two readings.

    ours: the run's own processes; set_share: the set's part of the host's busy ticks, 0..1.
    """
    loads = CpuInterference()
    on_cpu: dict[int, Counter[tuple[str, int]]] = defaultdict(Counter)
    for tid, run_ns in after.run_ns.items():
        used = run_ns - before.run_ns.get(tid, 0)
        place = task_place(tid, after.process.get(tid)) if used > 0 else None
        if place is None:
            continue
        pid, name, cpu = place
        of_kernel = _KTHREADD in (pid, after.parent.get(pid))
        loads.backlog_ns += used if of_kernel and name.startswith(_BACKLOG) else 0
        if cpu not in cpus:
            continue
        loads.busy_ns += used
        if of_kernel:
            loads.kernel_ns += used
        elif pid not in ours:
            loads.others_ns += used
        if pid not in ours and not name.startswith(_OURS_TOO):
            loads.by_name[name] = loads.by_name.get(name, 0) + used
            on_cpu[cpu][name, pid] += used
    for cpu, here in on_cpu.items():
        loads.by_cpu[cpu] = here.total()
        name, pid = max(here, key=here.__getitem__)
        loads.worst_on[cpu] = f"{name} ({described(pid)})"
    if tasks := sum(on_cpu.values(), Counter[tuple[str, int]]()):
        _, worst = max(tasks, key=lambda task: (loads.by_name[task[0]], tasks[task]))
        loads.worst_process = described(worst)
    loads.ended_ns = round(set_share * _ended_ns(after, before, ours))
    loads.busy_ns += loads.ended_ns
    loads.others_ns += loads.ended_ns
    return loads


def _ended_ns(after: Tasks, before: Tasks, ours: set[int]) -> int:
    """Time of processes that ended in between: their parents' account of reaped children grew by their whole life.

    What they had used before is taken off again, from the account of the ancestor that outlived them. What ended
    without being accounted to anybody (kernel threads, single threads, children nobody waits for) hides nothing of the
    others.
    """
    growth = {pid: max(0, ns - before.reaped_ns.get(pid, 0)) for pid, ns in after.reaped_ns.items()}
    grown = {pid: ns for pid, ns in growth.items() if pid not in ours}
    ended = before.reaped_ns.keys() - after.reaped_ns.keys()
    earlier = [(pid, before.reaped_ns[pid]) for pid in ended]
    earlier += [(before.process.get(tid, tid), ns) for tid, ns in before.run_ns.items()]
    for pid, ns in earlier:
        if pid in ended:
            ancestor = pid
            while ancestor in ended:
                ancestor = before.parent.get(ancestor, 0)
            grown[ancestor] = grown.get(ancestor, 0) - ns
    return sum(max(0, ns) for ns in grown.values())


@dataclass(frozen=True)
class SetReading:
    """The idle clocks of the set, pollbench's own CPU time, and the hogs', read at the same moment.

    irq_timed: this kernel times interrupts. One that only samples by ticks finds an interrupt handler where that let
    itself be interrupted, which none does.
    """

    clocks: dict[int, IdleClock]
    own_ns: int
    hogs: HogTime
    irq_timed: bool


@dataclass(frozen=True)
class SetTime:
    """The time of a CPU set between two readings: sums over its CPUs, ns.

    idle_ns: interrupts and softirqs taken in idle are not in it; unsure_ns: how far idle_ns may be off; steal_ns: by
    ticks, taken by the hypervisor; irq_ns: in interrupts and softirqs by ticks, which see those over a task only;
    irq_exact: the kernel times interrupts and softirqs itself, so irq_ns is exact and no task's run time holds any;
    own_ns: of pollbench; hogs: theirs; background_ns: what an idle set does by itself in that time; apart: how
    long before and after it the tasks' run times may have been read, as a share of it.
    """

    elapsed_ns: int
    idle_ns: int
    unsure_ns: int
    steal_ns: int
    irq_ns: int
    irq_exact: bool
    own_ns: int
    hogs: HogTime
    background_ns: int
    apart: float


def read_set(cpus: Collection[int], hogs: HogClock) -> SetReading:
    """Read the set's clocks.

    The hogs' clock comes last: to read an idle clock may take a visit to the CPU, and that waits for a FIFO hog.
    """
    irq_timed = any(states.get("irq", 0) for states in proc.cpu_ticks().values())
    return SetReading(idle_clocks(cpus), time.process_time_ns(), hogs.read(), irq_timed)


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


class Quiet(NamedTuple):
    """The moment before a run's programs start.

    share: what the host does on the set by itself, of its time, 0..QUIET_LIMIT; waited_s: how long it took beyond the
    first look until nobody else was at work; noise: who still was, in words, "" for nobody.
    """

    share: float
    waited_s: float
    noise: str

    @property
    def in_vain(self) -> bool:
        """Was it waited for, and did not come?"""
        return bool(self.noise) and self.waited_s > 0


def quiet_moment(cpus: set[int], stopper: Stopper, checks: Checks, takes_s: float, patience_s: float) -> Quiet:
    """Look at the set while no program of the run is there; again and again, for patience_s, while others use it.

    takes_s: how long the run takes. The first look of a short one is short; once noise was seen, they last QUIET_S.
    Raises Interrupted.
    """
    share, noise = _look(cpus, stopper, checks, min(QUIET_S, max(_SHORTEST_S, _OF_RUN * takes_s)))
    begun_s, waited_s = time.monotonic(), 0.0
    while noise and waited_s < patience_s:
        stopper.pause(min(_PAUSE_S, patience_s - waited_s))
        share, noise = _look(cpus, stopper, checks, QUIET_S)
        waited_s = time.monotonic() - begun_s
    return Quiet(share, waited_s, noise)


def _look(cpus: set[int], stopper: Stopper, checks: Checks, look_s: float) -> tuple[float, str]:
    """(the background's share, who else is at work, in words), of so many seconds.

    Background is ticks, kernel threads, interrupts of other devices; other programs' time is not in it, since it is
    known exactly and taken out by itself.
    """
    nobody = HogClock()
    tasks, before = proc.tasks(), read_set(cpus, nobody)
    stopper.pause(look_s)
    after, tasks_after = read_set(cpus, nobody), proc.tasks()
    time_of_set = set_time(after, before, {cpu: {} for cpu in cpus})
    if time_of_set is None or not time_of_set.elapsed_ns:
        return 0.0, ""
    # Kernel threads may still be at work for the run before.
    ours = {os.getpid(), *(pid for pid, parent in tasks_after.parent.items() if parent == _KTHREADD)}
    others = interference(tasks_after, tasks, cpus, ours, 1.0)
    busy_ns = time_of_set.elapsed_ns - time_of_set.idle_ns - time_of_set.own_ns - others.others_ns
    share = min(max(busy_ns / time_of_set.elapsed_ns, 0.0), QUIET_LIMIT)
    # One tick of what has ended may have been used at any time before.
    taken_ns = max(others.by_cpu.values(), default=0) + max(0, others.ended_ns - proc.TICK_NS)
    taken = taken_ns * len(cpus) / time_of_set.elapsed_ns
    if taken > checks.max_foreign_share:
        return share, f"{others.worst_name()} took {min(taken, 1.0):.0%} of a CPU"
    spin_ns = round(_SPUN * look_s * 1e9)
    stolen = max((taken_while_spinning(cpu, spin_ns) for cpu in sorted(cpus)[:_MOST_SPUN]), default=0.0)
    return share, f"something took {stolen:.0%} of a CPU from who spun on it" if stolen > _STOLEN else ""
