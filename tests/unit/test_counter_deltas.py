"""Two readings of all counters subtracted, and what one reading of a node holds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.kernel import energy, proc
from harness.kernel.hog_time import HogClock, HogTime
from harness.kernel.hostfiles import HostFiles
from harness.kernel.idle_clock import IdleClock
from harness.kernel.idle_states import IdleState
from harness.kernel.interrupts import Interrupt
from harness.kernel.proc import ProcessUsage, Tasks
from harness.kernel.qdiscs import ROOT
from harness.run import counters, cpu_set
from harness.run.counters import CounterDelta, Snapshot, subtract
from harness.run.cpu_set import SetReading
from harness.run.idling import idling
from harness.testbed import NodeHandle
from harness.topology.layout import NO_ADDRESS, PortLayout

MS = 10**6


def reading(at_ns: int, idle_ns: int, own_ns: int = 0) -> SetReading:
    return SetReading({0: IdleClock(at_ns, idle_ns)}, own_ns, HogTime(), False)


def snapshot(**changes: Any) -> Snapshot:
    whole: dict[str, Any] = {
        "at_ns": 1000,
        "first": reading(900, 10),
        "last": reading(1100, 20),
        "ticks": {0: {"user": 5, "nice": 1, "system": 2, "idle": 50}, 1: {"user": 10}},
        "net_rx": {0: 3, 1: 4},
        "irqs": {"device": {0: 10, 1: 40}, "timer": {0: 20, 1: 0}},
        "softnet": {"dropped": 2},
        "nodes": {"a": {"Udp:InDatagrams": 7}},
        "programs": {"client": ProcessUsage(cpu_ns=100, wait_ns=10)},
        "kthreads": {"a": 5},
        "clocksource": "tsc",
        "tasks": Tasks({10: 0, 20: 0}, {}),
        "took_ns": 50,
    }
    return Snapshot(**(whole | changes))


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch) -> None:
    places = {10: (10, "client", 0), 20: (20, "cc1", 0)}
    monkeypatch.setattr(cpu_set, "task_place", places.get)
    monkeypatch.setattr(cpu_set, "described", lambda pid: f"pid {pid}")


def test_what_lies_between_two_readings() -> None:
    after = snapshot(
        at_ns=1500,
        first=reading(1400, 120, own_ns=30),
        last=reading(9000, 9000),
        ticks={0: {"user": 8, "nice": 1, "system": 3, "idle": 90}, 1: {"user": 20}, 2: {"user": 6}},
        net_rx={0: 5, 1: 4, 2: 9},
        irqs={"device": {0: 11, 1: 40}, "timer": {0: 20, 1: 3}},
        softnet={"dropped": 5, "received_rps": 1},
        nodes={"a": {"Udp:InDatagrams": 27, "Tcp:InSegs": 4}, "b": {"Udp:InDatagrams": 1}},
        programs={"client": ProcessUsage(cpu_ns=180, wait_ns=15), "server": ProcessUsage(cpu_ns=9)},
        kthreads={"a": 25},
        clocksource="hpet",
        tasks=Tasks({10: 70, 20: 8}, {}),
        took_ns=70,
    )
    delta = subtract(after, snapshot(), {0}, {10}, quiet=0.5)
    host = delta.hosts[""]
    assert delta.elapsed_ns == 500
    assert delta.nodes == {"a": {"Udp:InDatagrams": 20, "Tcp:InSegs": 4}, "b": {"Udp:InDatagrams": 1}}
    assert delta.programs == {"client": ProcessUsage(cpu_ns=80, wait_ns=5), "server": ProcessUsage(cpu_ns=9)}
    assert delta.kthreads == {"a": 20}
    assert host.ticks[0] == {"user": 3, "nice": 0, "system": 1, "idle": 40} and host.ticks[2] == {"user": 6}
    assert (host.net_rx, host.irqs) == ({0: 2, 1: 0, 2: 9}, {0: 1, 1: 3})
    assert host.irq_kinds == {"device": {0: 1, 1: 0}, "timer": {0: 0, 1: 3}}
    assert host.softnet == {"dropped": 3, "received_rps": 1}
    assert host.clocksources == ("tsc", "hpet")
    assert host.cpus == {0}
    assert (host.interference.busy_ns, host.interference.by_name) == (78, {"cc1": 8})
    # From the end of the reading before to the beginning of the one after: neither reading is in it.
    time = host.set_time
    assert time is not None
    assert (time.elapsed_ns, time.idle_ns, time.own_ns, time.background_ns) == (300, 100, 30, 150)
    assert time.apart == pytest.approx(120 / 300)


@pytest.mark.parametrize(
    ("cpus", "ended_ns"),
    # CPU 0 had 4 of 14 busy ticks, both had all.
    [({0}, round(1400 * MS * 4 / 14)), ({0, 1}, 1400 * MS)],
)
def test_what_has_ended_is_the_sets_by_its_share_of_the_busy_ticks(cpus: set[int], ended_ns: int) -> None:
    before = snapshot(tasks=Tasks({}, {1: 0}), ticks={0: {"user": 0}, 1: {"user": 0}})
    busy = {0: {"user": 2, "nice": 1, "system": 1, "idle": 99, "softirq": 7}, 1: {"user": 10}}
    after = snapshot(tasks=Tasks({}, {1: 1400 * MS}), ticks=busy)
    assert subtract(after, before, cpus, set()).hosts[""].interference.ended_ns == ended_ns
    # Where no tick fell into user code or the kernel, all of it may have been here.
    quiet = snapshot(tasks=Tasks({}, {1: 1400 * MS}), ticks={0: {"idle": 5}, 1: {"idle": 5}})
    assert subtract(quiet, before, cpus, set()).hosts[""].interference.ended_ns == 1400 * MS


def test_packages_are_metered_and_their_counters_begin_anew(tmp_path: Path) -> None:
    def meters(**uj: int) -> dict[str, energy.Meter]:
        for zone, (name, value) in enumerate(uj.items()):
            place = tmp_path / f"sys/class/powercap/intel-rapl:{zone}"
            place.mkdir(parents=True, exist_ok=True)
            for key, text in (("name", name.replace("_", "-")), ("energy_uj", value), ("max_energy_range_uj", 1000)):
                (place / key).write_text(f"{text}\n")
        return energy.meters(HostFiles(tmp_path))

    before = meters(package_0=100, package_1=990, dram=5)
    assert energy.used_uj(meters(package_0=150, package_1=40, dram=900), before) == 50 + 50
    assert energy.used_uj({}, before) is energy.used_uj(before, {}) is None


def test_idle_states_and_energy_are_told_where_the_host_tells_them() -> None:
    def told(**changes: Any) -> Any:
        of_it = replace(subtract(snapshot(), snapshot(), {0, 1}, set()).hosts[""], **changes)
        return idling(CounterDelta(10**9, {}, {}, {}, {"": of_it}), 1000)

    states = (IdleState("POLL", 0, 9, 1_500_000), IdleState("C1", 2, 5, 100_000), IdleState("C6", 90, 5, 200_000))
    # Two CPUs for a second, a thousand requests.
    assert told(idle_states=states, energy_uj=5_000_000) == pytest.approx(
        {"idle_shallowest_percent": 75.0, "idle_deeper_percent": 15.0, "energy_uj_per_request": 5000.0}
    )
    assert told() == {}


def test_sums_of_counters() -> None:
    delta = subtract(snapshot(softnet={"dropped": 5}), snapshot(), {0}, set())
    delta = CounterDelta(
        500, {"a": {"x": 1, "y": 2}, "b": {"x": 10}}, {}, {}, {"": delta.hosts[""], "b": delta.hosts[""]}
    )
    assert (delta.counter("a", "x", "y", "z"), delta.counter("c", "x"), delta.total("x", "y")) == (3, 0, 13)
    assert (delta.softnet("dropped"), delta.softnet("none")) == (6, 0)
    assert delta.host_of("b") is delta.hosts["b"] and delta.host_of("a") is delta.hosts[""]


# -- one reading of a node -----------------------------------------------------------------------------------


def port(device: str, ifindex: int, nic: str = "veth") -> PortLayout:
    return PortLayout("a", device, ifindex, NO_ADDRESS, bytes(6), 0, 0, "b", (), nic)


def node(*ports: PortLayout) -> NodeHandle:
    return NodeHandle("a", "ns", "/ns", -1, ports)


def qdisc(ifindex: int, parent: int, drops: int, sent: int) -> Any:
    return SimpleNamespace(ifindex=ifindex, parent=parent, statistics={"drops": drops, "bytes": sent})


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two devices with statistics, four qdiscs, and an interrupt line on which two CPUs took some."""

    @contextlib.contextmanager
    def sysfs_of(_fd: int) -> Iterator[HostFiles]:
        yield HostFiles(tmp_path)

    monkeypatch.setattr(counters, "in_netns", lambda _fd: contextlib.nullcontext())
    monkeypatch.setattr(proc, "net_counters", lambda: {"Udp:InDatagrams": 7})
    devices = {
        "eth0": {"rx_packets": 1, "tx_packets": 2, "rx_dropped": 5},
        "eth1": {"rx_packets": 10, "tx_packets": 20},
    }
    monkeypatch.setattr(counters, "link_stats", lambda _fd: devices)
    disks = [qdisc(2, ROOT, 3, 100), qdisc(2, 0x10000, 2, 90), qdisc(3, ROOT, 4, 200), qdisc(9, ROOT, 8, 300)]
    monkeypatch.setattr(counters, "qdisc_dump", lambda _fd: disks)
    monkeypatch.setattr(counters, "sysfs_of", sysfs_of)
    lines = {"eth0": [Interrupt(24), Interrupt(25)], "eth1": []}
    monkeypatch.setattr(counters, "interrupts_of", lambda device, _host, _sysfs: lines[device])
    monkeypatch.setattr(counters, "send_alone", lambda irqs, _host: irqs - {24})
    counts = {24: {0: 5, 3: 6}, 25: {1: 40}}
    monkeypatch.setattr(proc, "interrupts_of", lambda irqs: {irq: counts[irq] for irq in irqs})


def taken(handle: NodeHandle, shaped: bool = False) -> dict[str, int]:
    return counters.take({"a": handle}, {}, shaped=shaped).nodes["a"]


@pytest.mark.usefixtures("kernel")
def test_a_node_s_counters_are_its_protocols_and_sums_over_its_devices() -> None:
    assert taken(node(port("eth0", 2), port("eth1", 3))) == {
        "Udp:InDatagrams": 7,
        "link:rx_packets": 11,
        "link:tx_packets": 22,
        "link:rx_dropped": 5,
        "link:eth0:packets": 3,
        "link:eth1:packets": 30,
    }


@pytest.mark.usefixtures("kernel")
def test_shapers_count_what_they_sent_and_dropped_by_their_roots() -> None:
    found = taken(node(port("eth0", 2), port("eth1", 3)), shaped=True)
    assert found["qdisc:drops"] == 3 + 4 + 8
    of_ports = {name: value for name, value in found.items() if name.startswith("qdisc:eth")}
    assert of_ports == {"qdisc:eth0:bytes": 100, "qdisc:eth0:drops": 3, "qdisc:eth1:bytes": 200, "qdisc:eth1:drops": 4}


@pytest.mark.usefixtures("kernel")
def test_nics_have_interrupts_by_line_and_cpu() -> None:
    found = taken(node(port("eth0", 2, "igb"), port("eth1", 3)))
    nic = {name: value for name, value in found.items() if name.startswith("nic:")}
    assert nic == {"nic:irqs": 51, "nic:irq24_cpu0": 5, "nic:irq24_cpu3": 6, "nic:txirq25_cpu1": 40}
    # An interface that was lent may be a virtual one, which has none.
    assert not [name for name in taken(node(port("eth1", 3, "igb"))) if name.startswith("nic:")]


def test_programs_of_a_family_are_counted_together_and_hogs_for_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    used = {7: ProcessUsage(cpu_ns=5), 8: ProcessUsage(cpu_ns=6), 9: ProcessUsage(cpu_ns=70)}
    monkeypatch.setattr(proc, "process_usage", lambda pid: used[pid])
    found = counters.take({}, {"client": [7, 8], "hog": [9]}, {"a": [8], "b": []}, cpus=[0], hogs=HogClock([9]))
    assert found.programs == {"client": ProcessUsage(cpu_ns=11), "hog": ProcessUsage(cpu_ns=70)}
    assert found.kthreads == {"a": 6, "b": 0}
    assert found.first.hogs.run_ns == found.last.hogs.run_ns == 70
    assert found.first.clocks.keys() == {0} and found.took_ns > 0
    assert found.last.clocks[0].at_ns >= found.at_ns >= found.first.clocks[0].at_ns
    assert counters.take({}, {"client": [7]}).kthreads == {}


def test_interrupts_are_told_apart_by_kind(tmp_path: Path) -> None:
    """By words, since labels differ: x86 has letters, others number what comes from other CPUs."""
    table = """           CPU0       CPU1
 11:       5          0   GICv3  27 Level     arch_timer
 36:       3          4   PCI-MSIX-0000:00:02.0   1-edge      eth0-rx-0
IPI0:      7          8       Rescheduling interrupts
IPI1:      9          1       Function call interrupts
LOC:      20         30   Local timer interrupts
RES:       1          2   Rescheduling interrupts
CAL:       3          4   Function call interrupts
TLB:       6          7   TLB shootdowns
ERR:       99
"""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "interrupts").write_text(table)
    assert proc.interrupts(HostFiles(tmp_path)) == {
        "device": {0: 3, 1: 4},
        "timer": {0: 25, 1: 30},
        "reschedule": {0: 8, 1: 10},
        "call": {0: 12, 1: 5},
        "other": {0: 6, 1: 7},
    }
