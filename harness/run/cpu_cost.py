"""What a run cost its CPU set: all time that was not idle, less what was not the run's, and what it consists of."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import reduce
from typing import NamedTuple

from harness.kernel.proc import ProcessUsage
from harness.run.counters import HostDelta
from harness.run.cpu_set import SetTime
from harness.run.outcome import Outcome
from harness.store.record import Metrics

_SAMPLE_NS = 10**7
"""The longest time between two ticks of a kernel (HZ 100): what one sampled tick may stand for."""

_LEAST = 0.5
"""A whole below this share of the processes' own run time, which holds little that is not theirs, is no figure."""


@dataclass(frozen=True)
class SetCost:
    """CPU time of a run on its CPU set, ns.

    whole_ns: all that was not idle, stolen, a hog's, another program's, pollbench's or the host's background. low_ns,
    high_ns: what it can be at least and at most by the accounting. user_ns, system_ns, kernel_ns: run time of the
    workloads' processes by mode, and of kernel threads, with the interrupts and softirqs taken over them unless the
    kernel times those. idle_irq_ns: the rest, which is interrupts and softirqs outside of these and switching to and
    from idle. task_irq_ns: interrupts and softirqs taken over tasks, by ticks. idle_ns: idle time.
    """

    whole_ns: int
    low_ns: int
    high_ns: int
    user_ns: int
    system_ns: int
    kernel_ns: int
    idle_irq_ns: int
    task_irq_ns: int
    idle_ns: int

    def plus(self, other: SetCost) -> SetCost:
        """Both hosts' together."""
        return SetCost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(SetCost)))


def set_cost(host: HostDelta, programs: ProcessUsage) -> SetCost | None:
    """The cost on one host; None where its CPU set could not be read.

    programs: usage of the workloads' processes that ran there.
    """
    time = host.set_time
    if time is None:
        return None
    kernel_ns, others_ns = host.interference.kernel_ns, host.interference.others_ns
    hogs = _hog_share(time)
    # Steal is taken from tasks; the part of it that hit an idle CPU is in the idle time already. Softirqs that were
    # taken over other programs are in their run time, which is known to be theirs only as a whole.
    over_others_ns = 0 if time.irq_exact else min(others_ns, time.irq_ns + _sampling_ns(time.irq_ns))
    error_ns = time.unsure_ns + round(others_ns * time.apart)
    without_hogs_ns = time.elapsed_ns - time.idle_ns - time.own_ns - others_ns - hogs.had_ns
    whole_ns = without_hogs_ns - hogs.steal_elsewhere_ns - time.background_ns
    low_ns = without_hogs_ns - time.steal_ns - time.background_ns - error_ns
    high_ns = without_hogs_ns + hogs.over_most_ns + over_others_ns + error_ns
    # A task that is woken in place of a hog is charged from the moment of the wake-up call on: for the hog's time, too.
    charged_ns = programs.cpu_ns + kernel_ns
    true = max(1 - hogs.flights_ns / charged_ns, 0.0) if charged_ns else 1.0
    modes_ns = programs.user_ns + programs.system_ns
    user_ns = round(programs.cpu_ns * programs.user_ns / modes_ns) if modes_ns else 0
    return SetCost(
        whole_ns=max(whole_ns, 0),
        low_ns=max(low_ns, 0),
        high_ns=max(high_ns, 0),
        user_ns=round(user_ns * true),
        system_ns=round((programs.cpu_ns - user_ns) * true),
        kernel_ns=round(kernel_ns * true),
        idle_irq_ns=max(whole_ns - round(charged_ns * true), 0),
        task_irq_ns=0 if time.irq_exact else time.irq_ns,
        idle_ns=time.idle_ns,
    )


class _HogShare(NamedTuple):
    """What the hogs had of the set, ns.

    had_ns: for how long they had a CPU, less the interrupts and softirqs over them, which are the run's, where these
    were timed; over_most_ns: what of these is in it, at most. flights_ns: how much of it the scheduler charged to who
    came next. steal_elsewhere_ns: steal that is not in had_ns.
    """

    had_ns: int
    flights_ns: int
    over_most_ns: int
    steal_elsewhere_ns: int


def _hog_share(time: SetTime) -> _HogShare:
    hogs = time.hogs
    if time.irq_exact:  # no task's run time holds an interrupt; from switch to switch some would be in it
        return _HogShare(hogs.run_ns, 0, 0, time.steal_ns)
    on_cpu_ns = hogs.run_ns if hogs.switched_ns is None else hogs.switched_ns
    over_ns, over_most_ns = hogs.over_ns or 0, 0
    if hogs.over_ns is None:
        # Ticks tell too much: one that falls into the flight of a wake-up, or amid a switch, finds the hog in the
        # kernel. So they are a bound.
        over_most_ns = min(hogs.kernel_ns, time.irq_ns + _sampling_ns(time.irq_ns), on_cpu_ns)
    steal_ns = time.steal_ns
    if hogs.switched_ns is not None and on_cpu_ns:
        # From switch to switch, stolen time is in it. It is taken to hit tasks alike.
        steal_ns = round(steal_ns * max(1 - on_cpu_ns / max(time.elapsed_ns - time.idle_ns, 1), 0.0))
    return _HogShare(on_cpu_ns - over_ns, max(on_cpu_ns - hogs.run_ns - time.steal_ns, 0), over_most_ns, steal_ns)


def _sampling_ns(ticks_ns: int) -> int:
    """How far a time may be off that was sampled by ticks: two standard errors, and a tick."""
    return 2 * round(math.sqrt(ticks_ns * _SAMPLE_NS)) + _SAMPLE_NS


def cost_hints(time: SetTime | None) -> list[str]:
    """What has to be known of a cost beside hogs where the end of their turns is not."""
    if time is None or not time.hogs.run_ns or not (time.irq_exact or time.hogs.switched_ns is None):
        return []
    why = "this kernel times interrupts" if time.irq_exact else "the kernel refuses us performance events"
    return [f"{why}, so hogs' time is the scheduler's: what wakes over them looks dearer, by the interrupts' flight"]


def cost_metrics(outcome: Outcome, settled: int) -> Metrics:
    """Columns of the set's cost per answered request, us; blank without requests or where it could not be read.

    settled: all requests answered in the window.
    """
    hosts = outcome.delta.hosts.items()
    costs = [set_cost(host, _programs(outcome, name)) for name, host in hosts]
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs) or not settled:
        return {"set_cpu_us_per_request": None}
    cost = reduce(SetCost.plus, known)
    processes_ns = sum(program.cpu_ns for program in (_programs(outcome, name) for name, _ in hosts))
    parts = {
        # More was taken out than was there to take: what others used on a crowded set is not known that well.
        "set_cpu": cost.whole_ns if cost.whole_ns >= _LEAST * processes_ns else None,
        "set_cpu_low": cost.low_ns,
        "set_cpu_high": cost.high_ns,
        "set_user": cost.user_ns,
        "set_system": cost.system_ns,
        "set_kthread": cost.kernel_ns,
        "set_idle_irq": cost.idle_irq_ns,
        "set_task_irq": cost.task_irq_ns,
        "set_idle": cost.idle_ns,
    }
    return {f"{name}_us_per_request": None if ns is None else ns / settled / 1e3 for name, ns in parts.items()}


def _programs(outcome: Outcome, host: str) -> ProcessUsage:
    """Usage of the workloads' processes on a host: those of its node, and on the near host all others."""
    far = {name for name in outcome.delta.hosts if name}
    here = (program for program in outcome.programs if (program.node if program.node in far else "") == host)
    return outcome.used_by(here)
