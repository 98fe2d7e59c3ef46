"""Readers of /proc: counters per CPU, per network namespace, per process, and of every task on the host."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

_PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_STAT_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def cpu_ticks() -> dict[int, dict[str, int]]:
    """Ticks per CPU since boot by state. Source: proc(5), /proc/stat; TICKS_PER_S per second, so 10 ms grain."""
    out: dict[int, dict[str, int]] = {}
    for line in (_PROC / "stat").read_text().splitlines():
        name, _, rest = line.partition(" ")
        if name.startswith("cpu") and name != "cpu":
            values = [int(v) for v in rest.split()]
            out[int(name[3:])] = dict(zip(_STAT_FIELDS, values, strict=False))
    return out


def softirqs(kind: str = "NET_RX") -> dict[int, int]:
    """Softirqs of one kind per CPU since boot. Source: proc(5), /proc/softirqs."""
    lines = (_PROC / "softirqs").read_text().splitlines()
    cpus = [int(name[3:]) for name in lines[0].split()]
    for line in lines[1:]:
        label, *counts = line.split()
        if label == f"{kind}:":
            return dict(zip(cpus, map(int, counts), strict=False))
    return dict.fromkeys(cpus, 0)


def interrupts() -> dict[int, int]:
    """Hardware interrupts, all lines together, per CPU since boot. Source: proc(5), /proc/interrupts."""
    lines = (_PROC / "interrupts").read_text().splitlines()
    cpus = [int(name[3:]) for name in lines[0].split()]
    totals = dict.fromkeys(cpus, 0)
    for line in lines[1:]:
        fields = line.split()[1 : len(cpus) + 1]
        if len(fields) == len(cpus) and all(f.isdigit() for f in fields):
            for cpu, count in zip(cpus, fields, strict=True):
                totals[cpu] += int(count)
    return totals


def interrupts_of(irqs: Collection[int]) -> dict[int, dict[int, int]]:
    """Interrupts of each of the given lines per CPU since boot; CPUs that had none left out."""
    lines = (_PROC / "interrupts").read_text().splitlines()
    cpus = [int(name[3:]) for name in lines[0].split()]
    found: dict[int, dict[int, int]] = {}
    for line in lines[1:]:
        label, *fields = line.split()
        if label[:-1].isdigit() and int(label[:-1]) in irqs:
            counts = zip(cpus, fields, strict=False)
            found[int(label[:-1])] = {cpu: int(count) for cpu, count in counts if int(count)}
    return found


def softnet() -> dict[str, int]:
    """Sums over all CPUs of /proc/net/softnet_stat: processed, dropped, time_squeeze, received_rps (host-wide)."""
    out = dict.fromkeys(("processed", "dropped", "time_squeeze", "received_rps"), 0)
    for line in (_PROC / "net/softnet_stat").read_text().splitlines():
        fields = [int(v, 16) for v in line.split()]
        for key, index in (("processed", 0), ("dropped", 1), ("time_squeeze", 2), ("received_rps", 9)):
            out[key] += fields[index] if index < len(fields) else 0
    return out


def _pairs(path: Path) -> dict[str, int]:
    """The two-line format of /proc/net/netstat and snmp: names, then values, each led by a prefix."""
    out: dict[str, int] = {}
    lines = path.read_text().splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        prefix, *keys = names.split()
        out.update(zip((prefix + key for key in keys), map(int, values.split()[1:]), strict=False))
    return out


def net_counters() -> dict[str, int]:
    """Counters of this thread's network namespace: `TcpExt:BusyPollRxPackets`, `Udp:InDatagrams`, `Udp6InDatagrams`.

    /proc/net would show the main thread's namespace instead, whatever setns() this thread has done.
    """
    base = _PROC / "thread-self/net"
    out = _pairs(base / "netstat") | _pairs(base / "snmp")
    if (base / "snmp6").exists():
        for line in (base / "snmp6").read_text().splitlines():
            key, value = line.split()
            out[key] = int(value)
    return out


@dataclass(frozen=True)
class ProcessUsage:
    """CPU time and context switches of one process, all its threads, since it started.

    cpu_ns is exact (scheduler run time); user_ns and system_ns are the kernel's tick-sampled split of it.
    """

    cpu_ns: int = 0
    wait_ns: int = 0
    user_ns: int = 0
    system_ns: int = 0
    voluntary: int = 0
    involuntary: int = 0

    def minus(self, before: ProcessUsage) -> ProcessUsage:
        """What was used since `before`."""
        names = self.__dataclass_fields__
        return ProcessUsage(**{name: getattr(self, name) - getattr(before, name) for name in names})

    def plus(self, other: ProcessUsage) -> ProcessUsage:
        """Both together."""
        names = self.__dataclass_fields__
        return ProcessUsage(**{name: getattr(self, name) + getattr(other, name) for name in names})


def process_usage(pid: int) -> ProcessUsage:
    """Usage of a live process; all zero when it is gone. Source: proc(5) schedstat, status, stat."""
    base = _PROC / str(pid)
    try:
        cpu_ns = wait_ns = voluntary = involuntary = 0
        for task in (base / "task").iterdir():
            run, wait, _ = (task / "schedstat").read_text().split()
            cpu_ns, wait_ns = cpu_ns + int(run), wait_ns + int(wait)
            for line in (task / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt"):
                    voluntary += int(line.split()[1])
                elif line.startswith("nonvoluntary_ctxt"):
                    involuntary += int(line.split()[1])
        user, system = (base / "stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return ProcessUsage()
    grain = 10**9 // TICKS_PER_S
    return ProcessUsage(cpu_ns, wait_ns, int(user) * grain, int(system) * grain, voluntary, involuntary)


def waited_s(pid: int) -> float:
    """For how long that thread of a process that had to wait longest was ready and had no CPU; 0 when it is gone."""
    waits = [0]
    for schedstat in (_PROC / str(pid) / "task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            waits.append(int(schedstat.read_text().split()[1]))
    return max(waits) / 1e9


def kthread_cpu_ns(pids: list[int]) -> int:
    """Run time of kernel threads, ns."""
    return sum(process_usage(pid).cpu_ns for pid in pids)


@dataclass(frozen=True)
class Tasks:
    """Every task. run_ns: scheduler run time by thread id; reaped_ns: by process, of children it outlived.

    process: by thread id, the process it belongs to; parent: by process, its parent.
    """

    run_ns: dict[int, int]
    reaped_ns: dict[int, int]
    process: dict[int, int] = field(default_factory=dict)
    parent: dict[int, int] = field(default_factory=dict)


def tasks() -> Tasks:
    """Read every task once.

    Exact where tick-sampled /proc/stat is not: a program that runs in short bursts between ticks shows here. What a
    process used that has ended meanwhile shows in its parent's account of children (10 ms grain). Source: proc(5).
    """
    found = Tasks({}, {})
    grain = 10**9 // TICKS_PER_S
    for pid in os.listdir(_PROC):
        if not pid.isdigit():
            continue
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            found.reaped_ns[int(pid)] = (int(fields[13]) + int(fields[14])) * grain
            found.parent[int(pid)] = int(fields[1])
            for tid in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{tid}/schedstat", "rb") as file:
                    found.run_ns[int(tid)] = int(file.read().split(None, 1)[0])
                found.process[int(tid)] = int(pid)
        except OSError:  # it ended while we looked
            continue
    return found


def task_place(tid: int) -> tuple[int, str, int] | None:
    """Owning process, name and last CPU of a task; None when it is gone."""
    try:
        text = (_PROC / str(tid) / "stat").read_text()
        for line in (_PROC / str(tid) / "status").read_text().splitlines():
            if line.startswith("Tgid:"):
                head, _, rest = text.rpartition(")")
                return int(line.split()[1]), head.partition("(")[2], int(rest.split()[36])
    except OSError:
        return None
    return None


def start_ticks(pid: int) -> int:
    """When the process started, ticks since boot: with the pid it names a process for good. 0 when it is gone."""
    try:
        return int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return 0


def clocksource() -> str:
    """The kernel's present clock source, or "" where it does not say."""
    try:
        return Path("/sys/devices/system/clocksource/clocksource0/current_clocksource").read_text().strip()
    except OSError:
        return ""
