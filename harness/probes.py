"""Counters around a run: what is read before and after, and how two readings are subtracted."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.kernel import proc
from harness.kernel.netns import in_netns
from harness.kernel.rtnl import link_stats
from harness.testbed import NodeHandle


@dataclass(frozen=True)
class Snapshot:
    """One reading of everything; counts since boot, or since the process or namespace began."""

    at_ns: int
    ticks: dict[int, dict[str, int]]
    net_rx: dict[int, int]
    irqs: dict[int, int]
    softnet: dict[str, int]
    nodes: dict[str, dict[str, int]]
    programs: dict[str, proc.ProcessUsage]
    kthreads: dict[str, int]
    tasks: dict[int, int]
    clocksource: str


def take(
    nodes: Mapping[str, NodeHandle],
    pids: Mapping[str, Sequence[int]],
    kthreads: Mapping[str, list[int]] | None = None,
) -> Snapshot:
    """Read all counters once: a few milliseconds, so never inside the measured time.

    pids: the processes of each of our programs by its label; kthreads: the NAPI threads of each node.
    """
    counters = {}
    for name, node in nodes.items():
        with in_netns(node.fd):
            counters[name] = proc.net_counters()
        for device in link_stats(node.fd).values():
            for key, value in device.items():
                counters[name][f"link:{key}"] = counters[name].get(f"link:{key}", 0) + value
    return Snapshot(
        at_ns=time.monotonic_ns(),
        ticks=proc.cpu_ticks(),
        net_rx=proc.softirqs("NET_RX"),
        irqs=proc.interrupts(),
        softnet=proc.softnet(),
        nodes=counters,
        programs={label: _together(family) for label, family in pids.items()},
        kthreads={node: proc.kthread_cpu_ns(threads) for node, threads in (kthreads or {}).items()},
        tasks=proc.task_run_ns(),
        clocksource=proc.clocksource(),
    )


def _together(pids: Sequence[int]) -> proc.ProcessUsage:
    """Usage of a family of processes; what one used that has ended is not in it."""
    total = proc.ProcessUsage()
    for pid in pids:
        total = total.plus(proc.process_usage(pid))
    return total


@dataclass(frozen=True)
class Difference:
    """What happened between two snapshots; same units."""

    elapsed_ns: int
    ticks: dict[int, dict[str, int]]
    net_rx: dict[int, int]
    irqs: dict[int, int]
    softnet: dict[str, int]
    nodes: dict[str, dict[str, int]]
    programs: dict[str, proc.ProcessUsage]
    kthreads: dict[str, int]
    foreign: dict[str, int]
    clocksources: tuple[str, str]

    def counter(self, node: str, *names: str) -> int:
        """Sum of the named counters of a node (absent ones count 0)."""
        return sum(self.nodes.get(node, {}).get(name, 0) for name in names)

    def total(self, *names: str) -> int:
        """Sum of the named counters over all nodes."""
        return sum(self.counter(node, *names) for node in self.nodes)


def _minus(after: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {key: value - before.get(key, 0) for key, value in after.items()}


def subtract(after: Snapshot, before: Snapshot, cpus: set[int], ours: set[int]) -> Difference:
    """The difference of two snapshots.

    foreign: run time (ns) by program name of every task that is not in the processes `ours`, last ran on `cpus`, and is
    neither a ksoftirqd nor a NAPI thread: those two do the workload's own packet processing.
    """
    return Difference(
        elapsed_ns=after.at_ns - before.at_ns,
        ticks={cpu: _minus(ticks, before.ticks.get(cpu, {})) for cpu, ticks in after.ticks.items()},
        net_rx={cpu: count - before.net_rx.get(cpu, 0) for cpu, count in after.net_rx.items()},
        irqs={cpu: count - before.irqs.get(cpu, 0) for cpu, count in after.irqs.items()},
        softnet=_minus(after.softnet, before.softnet),
        nodes={name: _minus(counters, before.nodes.get(name, {})) for name, counters in after.nodes.items()},
        programs={
            label: usage.minus(before.programs.get(label, proc.ProcessUsage()))
            for label, usage in after.programs.items()
        },
        kthreads=_minus(after.kthreads, before.kthreads),
        foreign=_foreign(after.tasks, before.tasks, cpus, ours),
        clocksources=(before.clocksource, after.clocksource),
    )


def _foreign(
    after: Mapping[int, int], before: Mapping[int, int], cpus: set[int], ours: set[int]
) -> dict[str, int]:
    out: dict[str, int] = {}
    for tid, run_ns in after.items():
        used = run_ns - before.get(tid, 0)
        if used <= 0:
            continue
        place = proc.task_place(tid)
        if place is None or place[0] in ours or place[2] not in cpus:
            continue
        if place[1].startswith(("ksoftirqd/", "napi/")):
            continue
        out[place[1]] = out.get(place[1], 0) + used
    return out
