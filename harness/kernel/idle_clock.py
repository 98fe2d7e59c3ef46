"""The idle clock of each CPU: for how long it has been idle, interrupts and softirqs that it took meanwhile left out.

The kernel stops this clock when an idle CPU takes an interrupt and starts it again behind the softirqs, so what it does
not count is work, in whatever context it was done. It keeps nanoseconds and prints them in /proc/timer_list;
/proc/stat shows the same clock in steps of 10 ms. (The times of /sys/devices/system/cpu/cpuN/cpuidle are another
clock: where an idle CPU halts with interrupts enabled they hold the interrupt that woke it.)
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection
from dataclasses import dataclass

from harness.kernel.hostfiles import HOST, HostFiles
from harness.kernel.proc import TICK_NS, cpu_ticks

_BLOCK = re.compile(r"^cpu: (\d+)$", re.MULTILINE)
_GAP_NS = 100_000
_NOW = re.compile(r"^now at (\d+) nsecs", re.MULTILINE)
_FIELD = re.compile(r"^\s*\.(nohz|idle_entrytime|idle_sleeptime|iowait_sleeptime)\s*:\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class IdleClock:
    """One CPU's idle clock.

    at_ns: CLOCK_MONOTONIC of the reading; unsure_ns: how much more idle_ns may be; fine: in nanoseconds, not in ticks.
    """

    at_ns: int
    idle_ns: int
    unsure_ns: int = 0
    fine: bool = True


def idle_clocks(cpus: Collection[int], files: HostFiles = HOST) -> dict[int, IdleClock]:
    """The idle clocks of `cpus`; exact where the kernel shows nanoseconds, else unsure by two steps of /proc/stat.

    A CPU of which the text cannot tell whether it is idle just now is visited: a CPU that reads the clock is not idle.
    """
    clocks = _clocks(cpus, files)
    doubtful = [cpu for cpu, clock in clocks.items() if clock.fine and clock.unsure_ns]
    if doubtful and files is HOST:
        allowed = os.sched_getaffinity(0)
        try:
            for cpu in doubtful:
                try:
                    os.sched_setaffinity(0, {cpu})
                except OSError:  # this process may not run there
                    continue
                clocks |= _clocks([cpu], files, at_work=True)
        finally:
            os.sched_setaffinity(0, allowed)
    return clocks


def taken_while_spinning(cpu: int, spin_ns: int) -> float:
    """The share of that time for which something else (a hypervisor, a program that comes first) had the CPU, 0..1.

    0 where this process may not run there. What takes less than 0.1 ms at a time, as interrupts do, is not in it.
    """
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {cpu})
        taken_ns, begun_ns = 0, (last_ns := time.monotonic_ns())
        while last_ns < begun_ns + spin_ns:
            now_ns = time.monotonic_ns()
            taken_ns += now_ns - last_ns if now_ns - last_ns > _GAP_NS else 0
            last_ns = now_ns
        return taken_ns / (last_ns - begun_ns)
    except OSError:
        return 0.0
    finally:
        os.sched_setaffinity(0, allowed)


def _clocks(cpus: Collection[int], files: HostFiles, at_work: bool = False) -> dict[int, IdleClock]:
    text = files.text("/proc/timer_list") or ""
    ticks = cpu_ticks(files)
    now = _NOW.search(text)
    at_ns = int(now[1]) if now else time.monotonic_ns()
    parts = _BLOCK.split(text)
    blocks = dict(zip(map(int, parts[1::2]), parts[2::2], strict=True))
    return {cpu: _clock(at_ns, blocks.get(cpu, ""), ticks[cpu], at_work) for cpu in cpus if cpu in ticks}


def _clock(at_ns: int, block: str, ticks: dict[str, int], at_work: bool) -> IdleClock:
    """The clock by its block of /proc/timer_list, where that has one.

    ticks: the CPU's line of /proc/stat; at_work: the CPU is known not to be idle.
    """
    coarse_ns = (ticks.get("idle", 0) + ticks.get("iowait", 0)) * TICK_NS
    fields = {name: int(value) for name, value in _FIELD.findall(block)}
    if not fields.get("nohz") or "idle_sleeptime" not in fields:
        return IdleClock(at_ns, coarse_ns, 2 * TICK_NS, fine=False)
    past_ns = fields["idle_sleeptime"] + fields.get("iowait_sleeptime", 0)
    # Of a CPU that is idle now, the time since it became so is to be added; of one at work it is in the sum already.
    # /proc/stat tells the two apart where that time is long: it holds it, rounded down by up to two steps.
    going_ns = max(0, at_ns - fields.get("idle_entrytime", at_ns))
    if at_work or past_ns + going_ns >= coarse_ns + 3 * TICK_NS:
        return IdleClock(at_ns, past_ns)
    if past_ns < coarse_ns:
        return IdleClock(at_ns, past_ns + going_ns)
    return IdleClock(at_ns, past_ns, going_ns)
