"""Readers of /proc: counters per CPU, per network namespace, per process, and of every task on the host.

`files` is the host that they read, this one unless another is given.
"""

from __future__ import annotations

import dataclasses
import os
import pwd
from collections.abc import Collection
from dataclasses import dataclass, field
from operator import add, attrgetter, sub
from typing import NamedTuple

from harness.kernel.hostfiles import HOST, HostFiles

_COMMAND_CHARS = 60
_KTHREADD = 2
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
TICK_NS = 10**9 // TICKS_PER_S
_STAT_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def cpu_ticks(files: HostFiles = HOST) -> dict[int, dict[str, int]]:
    """Ticks per CPU since boot by state. Source: proc(5), /proc/stat; TICKS_PER_S per second, so 10 ms grain."""
    ticks: dict[int, dict[str, int]] = {}
    for line in files.read("/proc/stat").splitlines():
        name, *values = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks[int(name[3:])] = dict(zip(_STAT_FIELDS, map(int, values), strict=False))
    return ticks


INTERRUPT_KINDS = ("device", "timer", "reschedule", "call", "other")
"""Of a device; of the CPU's own timer; from another CPU, to have it reschedule or call a function; all else."""


def _per_cpu(files: HostFiles, name: str) -> tuple[list[int], list[tuple[str, list[str]]]]:
    """The CPUs in the head of a table such as /proc/interrupts, and (label, words behind it) of each line."""
    head, *lines = files.read(name).splitlines()
    rows = [(label, words) for label, *words in map(str.split, lines)]
    return [int(cpu[3:]) for cpu in head.split()], rows


def softirqs(kind: str = "NET_RX", files: HostFiles = HOST) -> dict[int, int]:
    """Softirqs of one kind per CPU since boot. Source: proc(5), /proc/softirqs."""
    cpus, rows = _per_cpu(files, "/proc/softirqs")
    counts = next((words for label, words in rows if label == f"{kind}:"), ["0"] * len(cpus))
    return dict(zip(cpus, map(int, counts), strict=False))


def interrupts(files: HostFiles = HOST) -> dict[str, dict[int, int]]:
    """Interrupts since boot by kind (INTERRUPT_KINDS, all of them) and CPU. Source: proc(5), /proc/interrupts."""
    cpus, rows = _per_cpu(files, "/proc/interrupts")
    kinds = {kind: dict.fromkeys(cpus, 0) for kind in INTERRUPT_KINDS}
    for label, words in rows:
        counts = words[: len(cpus)]
        if len(counts) == len(cpus) and all(count.isdigit() for count in counts):
            of_kind = kinds[_interrupt_kind(label, " ".join(words[len(cpus) :]))]
            for cpu, count in zip(cpus, counts, strict=True):
                of_kind[cpu] += int(count)
    return kinds


def _interrupt_kind(label: str, words: str) -> str:
    """Kinds bear numbers of their own on some architectures, but the same words on all."""
    if "timer" in words:
        return "timer"
    if "Rescheduling" in words:
        return "reschedule"
    if "Function call" in words:
        return "call"
    return "device" if label.rstrip(":").isdigit() else "other"


def interrupts_of(irqs: Collection[int], files: HostFiles = HOST) -> dict[int, dict[int, int]]:
    """Interrupts of each of the given lines per CPU since boot; CPUs that had none left out."""
    cpus, rows = _per_cpu(files, "/proc/interrupts")
    return {
        int(label[:-1]): {cpu: int(count) for cpu, count in zip(cpus, words, strict=False) if int(count)}
        for label, words in rows
        if label[:-1].isdigit() and int(label[:-1]) in irqs
    }


def softnet(files: HostFiles = HOST) -> dict[str, int]:
    """Sums over all CPUs of /proc/net/softnet_stat: processed, dropped, time_squeeze, received_rps (host-wide)."""
    columns = {"processed": 0, "dropped": 1, "time_squeeze": 2, "received_rps": 9}
    rows = [[int(word, 16) for word in line.split()] for line in files.lines("/proc/net/softnet_stat")]
    return {key: sum(row[at] for row in rows if at < len(row)) for key, at in columns.items()}


def _pairs(files: HostFiles, name: str) -> dict[str, int]:
    """The two-line format of /proc/net/netstat and snmp: names, then values, each led by a prefix."""
    counters: dict[str, int] = {}
    lines = files.read(name).splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        prefix, *keys = names.split()
        counters.update(zip((prefix + key for key in keys), map(int, values.split()[1:]), strict=False))
    return counters


def net_counters(files: HostFiles = HOST) -> dict[str, int]:
    """Counters of this thread's network namespace: `TcpExt:BusyPollRxPackets`, `Udp:InDatagrams`, `Udp6InDatagrams`.

    /proc/net would show the main thread's namespace instead, whatever setns() this thread has done.
    """
    base = "/proc/thread-self/net"
    counters = _pairs(files, f"{base}/netstat") | _pairs(files, f"{base}/snmp")
    for line in files.lines(f"{base}/snmp6"):
        key, value = line.split()
        counters[key] = int(value)
    return counters


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
        return ProcessUsage(*map(sub, _usage(self), _usage(before)))

    def plus(self, other: ProcessUsage) -> ProcessUsage:
        """The sum of both processes, field by field."""
        return ProcessUsage(*map(add, _usage(self), _usage(other)))


# dataclasses.astuple copies whatever the fields hold, which takes a hundred times as long.
_usage = attrgetter(*(part.name for part in dataclasses.fields(ProcessUsage)))


def stat_fields(pid: int, files: HostFiles = HOST) -> list[str]:
    """The fields of /proc/PID/stat from the third on (state, parent, ...), behind the name. Raises OSError."""
    return files.read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def process_usage(pid: int, files: HostFiles = HOST) -> ProcessUsage:
    """Usage of a live process; all zero when it is gone. Source: proc(5) schedstat, status, stat."""
    base = f"/proc/{pid}"
    try:
        cpu_ns = wait_ns = voluntary = involuntary = 0
        for task in files.list(f"{base}/task"):
            run, wait, _ = files.read(f"{base}/task/{task}/schedstat").split()
            cpu_ns, wait_ns = cpu_ns + int(run), wait_ns + int(wait)
            for line in files.read(f"{base}/task/{task}/status").splitlines():
                if line.startswith("voluntary_ctxt"):
                    voluntary += int(line.split()[1])
                elif line.startswith("nonvoluntary_ctxt"):
                    involuntary += int(line.split()[1])
        user, system = stat_fields(pid, files)[11:13]
    except OSError:
        return ProcessUsage()
    return ProcessUsage(cpu_ns, wait_ns, int(user) * TICK_NS, int(system) * TICK_NS, voluntary, involuntary)


def waited_s(pid: int, files: HostFiles = HOST) -> float:
    """For how long that thread of a process that had to wait longest was ready and had no CPU; 0 when it is gone."""
    texts = [files.text(name) for name in files.find(f"/proc/{pid}/task/*/schedstat")]
    return max((int(text.split()[1]) for text in texts if text), default=0) / 1e9


@dataclass(frozen=True)
class Tasks:
    """Every task. run_ns: scheduler run time by thread id; reaped_ns: by process, of children it outlived.

    process: by thread id, the process it belongs to; parent: by process, its parent.
    """

    run_ns: dict[int, int]
    reaped_ns: dict[int, int]
    process: dict[int, int] = field(default_factory=dict)
    parent: dict[int, int] = field(default_factory=dict)


class _Resting(NamedTuple):
    """A process with one thread as it was read last: its schedstat, and what that and its stat say."""

    schedstat: bytes
    run_ns: int
    reaped_ns: int
    parent: int


# Of this host, by process.
_resting: dict[int, _Resting] = {}


def tasks(files: HostFiles = HOST) -> Tasks:
    """Read every task once.

    Exact where tick-sampled /proc/stat is not: a program that runs in short bursts between ticks shows here. What a
    process used that has ended meanwhile shows in its parent's account of children (10 ms grain). Source: proc(5).
    """
    seen, resting = Tasks({}, {}), dict[int, _Resting]()
    before, read = (_resting if files is HOST else {}), files.read_once
    pids = {int(name) for name in files.list("/proc") if name.isdigit()}
    for pid in pids:
        try:
            schedstat = read(f"/proc/{pid}/schedstat")
            known = before.get(pid)
            # Who has had no CPU since has the same children and no second thread, and most have had none.
            if known is None or known.schedstat != schedstat or (known.parent and known.parent not in pids):
                fields = read(f"/proc/{pid}/stat").rpartition(b")")[2].split(None, 18)
                reaped_ns = (int(fields[13]) + int(fields[14])) * TICK_NS
                known = _Resting(schedstat, int(schedstat.split(None, 1)[0]), reaped_ns, int(fields[1]))
                if fields[17] != b"1":
                    for tid in map(int, files.list(f"/proc/{pid}/task")):
                        seen.run_ns[tid] = int(read(f"/proc/{pid}/task/{tid}/schedstat").split(None, 1)[0])
                        seen.process[tid] = pid
            if pid not in seen.process:
                resting[pid] = known
                seen.run_ns[pid], seen.process[pid] = known.run_ns, pid
            seen.reaped_ns[pid], seen.parent[pid] = known.reaped_ns, known.parent
        except (OSError, IndexError):  # it ended while we looked
            continue
    if files is HOST:
        _resting.clear()
        _resting.update(resting)
    return seen


def task_place(tid: int, owner: int | None = None, files: HostFiles = HOST) -> tuple[int, str, int] | None:
    """Owning process, name and last CPU of a task; None when it is gone. owner: the process, where it is known."""
    try:
        if owner is None:
            owner = int(files.fields(f"/proc/{tid}/status")["Tgid"])
        head, _, rest = files.read_once(f"/proc/{tid}/stat").decode(errors="replace").rpartition(")")
        return owner, head.partition("(")[2], int(rest.split()[36])
    except (OSError, KeyError, IndexError):
        return None


def described(pid: int, files: HostFiles = HOST) -> str:
    """A process for a reader: its pid, whose it is, and its command line; "" when it is gone."""
    fields = files.fields(f"/proc/{pid}/status")
    if "Uid" not in fields:
        return ""
    uid = int(fields["Uid"].split()[0])
    try:
        owner = pwd.getpwuid(uid).pw_name
    except KeyError:
        owner = f"uid {uid}"
    command = (files.text(f"/proc/{pid}/cmdline") or "").replace("\0", " ").strip()
    if _KTHREADD in (pid, int(fields.get("PPid", "0"))):
        return f"pid {pid}, of the kernel"
    if not command:
        return f"pid {pid}, of {owner}"
    shown = command if len(command) <= _COMMAND_CHARS else f"{command[: _COMMAND_CHARS - 3]}..."
    return f"pid {pid}, of {owner}: `{shown}`"


def start_ticks(pid: int) -> int:
    """When the process started, ticks since boot: with the pid it names a process for good. 0 when it is gone."""
    try:
        return int(stat_fields(pid)[19])
    except OSError:
        return 0


def clocksource(files: HostFiles = HOST) -> str:
    """The kernel's present clock source, or "" where it does not say."""
    return files.text("/sys/devices/system/clocksource/clocksource0/current_clocksource") or ""
