"""Counters around a run: what is read before and after, and how two readings are subtracted."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TypeVar

from harness.kernel import proc
from harness.kernel.energy import Meter, meters, used_uj
from harness.kernel.hog_time import HogClock
from harness.kernel.hostfiles import HOST
from harness.kernel.idle_states import IdleState, idle_states
from harness.kernel.interrupts import interrupts_of, send_alone
from harness.kernel.links import link_stats
from harness.kernel.netns import in_netns, sysfs_of
from harness.kernel.qdiscs import ROOT
from harness.kernel.readback import qdisc_dump
from harness.run.cpu_set import CpuInterference, SetReading, SetTime, interference, read_set, set_time
from harness.testbed import NodeHandle

Key = TypeVar("Key", str, int)
_NIC_IRQ = re.compile(r"nic:(tx)?irq(\d+)_cpu(\d+)")
HOGS = ("hog", "awake", "links", "capture", "queues", "wire")
"""Labels of what is no part of the workload: the hogs, what keeps CPUs awake, what changes links, what looks at them.
None is a cost of the run."""


@dataclass(frozen=True)
class Snapshot:
    """One reading of everything; counts since boot, or since the process or namespace began.

    first, last: the CPU set before and after all else was read, so that what lies between two snapshots holds neither
    reading; took_ns: how long all of it took.
    """

    at_ns: int
    first: SetReading
    last: SetReading
    ticks: dict[int, dict[str, int]]
    net_rx: dict[int, int]
    irqs: dict[str, dict[int, int]]
    softnet: dict[str, int]
    nodes: dict[str, dict[str, int]]
    programs: dict[str, proc.ProcessUsage]
    kthreads: dict[str, int]
    clocksource: str
    tasks: proc.Tasks
    took_ns: int
    home: dict[str, int] = field(default_factory=dict)
    idle_states: tuple[IdleState, ...] = ()
    energy: dict[str, Meter] = field(default_factory=dict)


def take(
    nodes: Mapping[str, NodeHandle],
    pids: Mapping[str, Sequence[int]],
    kthreads: Mapping[str, list[int]] | None = None,
    shaped: bool = False,
    cpus: Collection[int] = (),
    hogs: HogClock | None = None,
) -> Snapshot:
    """Read all counters once: a few milliseconds, so never inside the measured time.

    cpus: the run's CPU set; pids: the processes of each of our programs by its label; kthreads: the NAPI threads of
    each node; shaped: whether there are qdiscs to ask; hogs: the clock of those of HOGS.
    """
    hogs = hogs or HogClock()
    begun_ns = time.monotonic_ns()
    first = read_set(cpus, hogs)
    counters = {name: _node_counters(node, shaped) for name, node in nodes.items()}
    return Snapshot(
        at_ns=time.monotonic_ns(),
        first=first,
        ticks=proc.cpu_ticks(),
        net_rx=proc.softirqs("NET_RX"),
        irqs=proc.interrupts(),
        softnet=proc.softnet(),
        nodes=counters,
        programs={label: _together(family) for label, family in pids.items()},
        kthreads=thread_cpu_ns(kthreads or {}),
        clocksource=proc.clocksource(),
        tasks=proc.tasks(),
        home=proc.net_counters(),
        idle_states=idle_states(cpus),
        energy=meters(),
        last=read_set(cpus, hogs),
        took_ns=time.monotonic_ns() - begun_ns,
    )


def thread_cpu_ns(kthreads: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """CPU time of the NAPI threads of each node since they began."""
    return {node: _together(threads).cpu_ns for node, threads in kthreads.items()}


def _node_counters(node: NodeHandle, shaped: bool) -> dict[str, int]:
    """A node's counters by name: its protocols'; `link:NAME`, sums over its devices;
    `link:DEVICE:packets`, received and sent by one; `qdisc:drops`, of its shapers."""
    with in_netns(node.fd):
        counters = proc.net_counters()
    statistics_of = link_stats(node.fd)
    for device, statistics in statistics_of.items():
        for key, value in statistics.items():
            counters[f"link:{key}"] = counters.get(f"link:{key}", 0) + value
        counters[f"link:{device}:packets"] = statistics["rx_packets"] + statistics["tx_packets"]
    for port in node.ports:
        if port.over is not None and port.over.kind.udp and port.over.device in statistics_of:
            # The datagram that a tunnel unpacks is no program's.
            counters["Udp:InDatagrams"] -= statistics_of[port.over.device]["rx_packets"]
    counters |= _nic_counters(node)
    if shaped:
        # A device does not count what its qdisc drops. A root counts what its children drop on arrival.
        devices = {port.ifindex: port.device for port in node.ports}
        roots = [qdisc for qdisc in qdisc_dump(node.fd) if qdisc.parent == ROOT]
        counters["qdisc:drops"] = 0
        for root in roots:
            statistics = root.statistics
            counters["qdisc:drops"] += statistics["drops"]
            for key in ("bytes", "drops") if root.ifindex in devices else ():
                counters[f"qdisc:{devices[root.ifindex]}:{key}"] = statistics[key]
    return counters


def _nic_counters(node: NodeHandle) -> dict[str, int]:
    """Interrupts of the node's NICs: `nic:irqs` in all, `nic:irqI_cpuN` those of line I that CPU N took.

    Those of a line of transmit queues alone are `nic:txirqI_cpuN`.
    """
    ports = [port for port in node.ports if port.nic != "veth"]
    if not ports:
        return {}
    with sysfs_of(node.fd) as sysfs:
        irqs = {irq.number for port in ports for irq in interrupts_of(port.device, HOST, sysfs)}
    if not irqs:
        return {}  # a host's interface may be a virtual one
    sending = send_alone(irqs, HOST)
    counts = {
        f"nic:{'tx' if irq in sending else ''}irq{irq}_cpu{cpu}": count
        for irq, by_cpu in proc.interrupts_of(irqs).items()
        for cpu, count in by_cpu.items()
    }
    return {"nic:irqs": sum(counts.values())} | counts


def _together(pids: Sequence[int]) -> proc.ProcessUsage:
    """Usage of a family of processes that still live, summed."""
    return reduce(proc.ProcessUsage.plus, map(proc.process_usage, pids), proc.ProcessUsage())


@dataclass(frozen=True)
class HostDelta:
    """What was counted on one host between two snapshots.

    cpus: the run's CPU set on it; others are by CPU number. irqs: of any kind, irq_kinds: of
    each. home: what its own namespace counted, as of a node. idle_states: of the CPU set. energy_uj: of all its
    processor packages, None where nothing tells.
    """

    cpus: set[int]
    ticks: dict[int, dict[str, int]]
    net_rx: dict[int, int]
    irqs: dict[int, int]
    softnet: dict[str, int]
    interference: CpuInterference
    clocksources: tuple[str, str]
    set_time: SetTime | None = None
    home: dict[str, int] = field(default_factory=dict)
    irq_kinds: dict[str, dict[int, int]] = field(default_factory=dict)
    idle_states: tuple[IdleState, ...] = ()
    energy_uj: int | None = None


@dataclass(frozen=True)
class CounterDelta:
    """What was counted between two snapshots, in the snapshots' units.

    hosts: "" for the host that keeps the record; in a run on two hosts, the other one by the name of its node.
    """

    elapsed_ns: int
    nodes: dict[str, dict[str, int]]
    programs: dict[str, proc.ProcessUsage]
    kthreads: dict[str, int]
    hosts: dict[str, HostDelta]

    def counter(self, node: str, *names: str) -> int:
        """Sum of the named counters of a node (absent ones count 0)."""
        return sum(self.nodes.get(node, {}).get(name, 0) for name in names)

    def total(self, *names: str) -> int:
        """Sum of the named counters over all nodes."""
        return sum(self.counter(node, *names) for node in self.nodes)

    def nic_irqs(self, nodes: Iterable[str], sending: bool = True) -> dict[int, dict[int, int]]:
        """Interrupts of the nodes' NICs: line -> CPU -> how many, none where there were none.

        sending: with the lines of transmit queues alone.
        """
        by_line: dict[int, dict[int, int]] = {}
        for node in nodes:
            for name, count in self.nodes.get(node, {}).items():
                if count and (match := _NIC_IRQ.fullmatch(name)) and (sending or not match[1]):
                    by_line.setdefault(int(match[2]), {})[int(match[3])] = count
        return by_line

    def busiest_rx_irqs(self, nodes: Iterable[str]) -> int:
        """Interrupts of the busiest line of the nodes' NICs that is not of transmit queues alone."""
        lines = self.nic_irqs(nodes, sending=False).values()
        return max((sum(by_cpu.values()) for by_cpu in lines), default=0)

    def softnet(self, name: str) -> int:
        """A column of /proc/net/softnet_stat, over all hosts."""
        return sum(host.softnet.get(name, 0) for host in self.hosts.values())

    def host_of(self, node: str) -> HostDelta:
        """The host that a node is on."""
        return self.hosts.get(node) or self.hosts[""]


def _minus(after: Mapping[Key, int], before: Mapping[Key, int]) -> dict[Key, int]:
    return {key: value - before.get(key, 0) for key, value in after.items()}


def subtract(after: Snapshot, before: Snapshot, cpus: set[int], ours: set[int], quiet: float = 0.0) -> CounterDelta:
    """The difference of two snapshots.

    cpus: the CPU set; ours: the processes of the run, the harness among them; quiet: as `quiet_share` gives it.
    """
    ticks = {cpu: _minus(states, before.ticks.get(cpu, {})) for cpu, states in after.ticks.items()}
    kinds = {kind: _minus(counts, before.irqs.get(kind, {})) for kind, counts in after.irqs.items()}
    host = HostDelta(
        cpus=cpus,
        ticks=ticks,
        net_rx=_minus(after.net_rx, before.net_rx),
        irqs=_totals(kinds.values()),
        irq_kinds=kinds,
        softnet=_minus(after.softnet, before.softnet),
        interference=interference(after.tasks, before.tasks, cpus, ours, _share_of(cpus, ticks)),
        clocksources=(before.clocksource, after.clocksource),
        set_time=set_time(
            after.first,
            before.last,
            {cpu: ticks[cpu] for cpu in cpus if cpu in ticks},
            quiet,
            after.took_ns + before.took_ns,
        ),
        home=_minus(after.home, before.home),
        idle_states=tuple(
            state._replace(entries=state.entries - was.entries, time_us=state.time_us - was.time_us)
            for state, was in zip(after.idle_states, before.idle_states, strict=True)
        ),
        energy_uj=used_uj(after.energy, before.energy),
    )
    unused = proc.ProcessUsage()
    return CounterDelta(
        elapsed_ns=after.at_ns - before.at_ns,
        nodes={name: _minus(counters, before.nodes.get(name, {})) for name, counters in after.nodes.items()},
        programs={label: usage.minus(before.programs.get(label, unused)) for label, usage in after.programs.items()},
        kthreads=_minus(after.kthreads, before.kthreads),
        hosts={"": host},
    )


def _totals(counts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Sums by CPU."""
    totals: dict[int, int] = {}
    for of_kind in counts:
        for cpu, count in of_kind.items():
            totals[cpu] = totals.get(cpu, 0) + count
    return totals


def _share_of(cpus: set[int], ticks: Mapping[int, Mapping[str, int]]) -> float:
    """The set's part of the host's ticks in user code and the kernel, 0..1; 1 where the set is the whole host."""
    busy = {
        cpu: states.get("user", 0) + states.get("nice", 0) + states.get("system", 0) for cpu, states in ticks.items()
    }
    whole = sum(busy.values())
    return sum(busy.get(cpu, 0) for cpu in cpus) / whole if whole else 1.0
