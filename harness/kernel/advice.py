"""What about this host makes latencies noisy or unlike a production host's, why, and what to do about it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from harness.kernel import cpufacts, facts
from harness.kernel.hostfiles import HostFiles

# Clock sources that are read without leaving the program; any other costs a microsecond per request.
FAST_CLOCKS = ("tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page")
MANY_CPUS = 4
MUCH_STEAL_SHARE = 0.01
MUCH_LOAD_PER_CPU = 0.5
LONG_WAKE_US = 10


class Advice(NamedTuple):
    """One finding: what was looked at, how it is, whether that is good, why it matters and what to do."""

    check: str
    state: str
    good: bool
    why: str
    todo: str


def advice(root: Path | str = "/", sample_s: float = 0.2) -> list[Advice]:
    """Every check, good ones too, in a fixed order. Takes `sample_s` seconds, to see time being stolen."""
    files = HostFiles(root)
    cpus = cpufacts.online_cpus(files)
    return [
        _cpus(files, cpus),
        _clock(files),
        _governor(files),
        _turbo(files),
        _smt(files),
        _idle(files),
        _steal(files, sample_s),
        _load(files, cpus),
        _irqbalance(files),
        _autogroup(files),
        _mitigations(files),
        _virtualisation(files),
    ]


def _cpus(files: HostFiles, cpus: set[int]) -> Advice:
    isolated = files.cpus(f"{cpufacts.CPU_DIR}/isolated") or []
    state = f"{len(cpus)} online, isolated: {' '.join(map(str, isolated)) or 'none'}"
    why = "client, server, interrupts and the rest of the system share them; four or more keep these apart"
    todo = "run on a host with four or more CPUs, or read p99 with care"
    return Advice("CPUs", state, len(cpus) >= MANY_CPUS, why, todo)


def _clock(files: HostFiles) -> Advice:
    source = files.text(f"{facts.CLOCK}/current_clocksource")
    available = facts.available_clocks(files)
    better = next((name for name in FAST_CLOCKS if name in available), None)
    todo = (
        f"echo {better} | sudo tee {facts.CLOCK}/current_clocksource"
        if better
        else "boot with tsc=reliable if the processor's counter is known to be stable"
    )
    why = "every request reads the clock twice; a slow one is a system call each time, in every latency"
    return Advice("clock source", source or "unknown", source in FAST_CLOCKS, why, todo)


def _governor(files: HostFiles) -> Advice:
    governor = cpufacts.governor(files)
    why = "a clock that follows the load makes a sleeping program slower than a polling one by itself"
    todo = "sudo cpupower frequency-set -g performance"
    if governor == "none":
        return Advice("frequency governor", "none: not this kernel's to set", True, why, todo)
    return Advice("frequency governor", governor, governor == "performance", why, todo)


def _turbo(files: HostFiles) -> Advice:
    turbo = cpufacts.turbo(files)
    state = {None: "not told", True: "on", False: "off"}[turbo]
    why = "the clock then depends on temperature and on what the other cores do: a neighbour's load slows you"
    base = cpufacts.CPU_DIR
    todo = f"echo 1 | sudo tee {base}/intel_pstate/no_turbo, or echo 0 to {base}/cpufreq/boost"
    return Advice("turbo", state, not turbo, why, todo)


def _smt(files: HostFiles) -> Advice:
    smt = cpufacts.smt(files)
    why = (
        "two CPUs of one core slow each other: a busy-polling program costs its sibling up to half its speed"
    )
    todo = f"echo off | sudo tee {cpufacts.CPU_DIR}/smt/control, or give a node CPUs of different cores"
    return Advice("SMT", smt or "not told", smt != "on", why, todo)


def _idle(files: HostFiles) -> Advice:
    driver = files.text(f"{cpufacts.CPU_DIR}/cpuidle/current_driver")
    cpu = f"{cpufacts.CPU_DIR}/cpu{min(cpufacts.online_cpus(files), default=0)}/cpuidle"
    enabled = [name for name in files.names(cpu) if not files.flag(f"{cpu}/{name}/disable")]
    exit_us = max((files.number(f"{cpu}/{name}/latency") or 0 for name in enabled), default=0)
    state = f"{driver or 'none'}, up to {exit_us} us to wake"
    why = "a CPU that sleeps deeply needs that long to wake, and busy polling gets the credit for avoiding it"
    return Advice("idle states", state, exit_us <= LONG_WAKE_US, why, "sudo cpupower idle-set -D 10")


def _steal(files: HostFiles, sample_s: float) -> Advice:
    before = facts.total_ticks(files)
    time.sleep(sample_s)
    after = facts.total_ticks(files)
    why = "the hypervisor ran somebody else on these CPUs; such a pause lands in p99, whatever the settings"
    todo = (
        "measure on a quieter or dedicated host, or repeat more often; runs above max_steal_share are suspect"
    )
    if before is None or after is None:
        return Advice("stolen time", "not told", True, why, todo)
    all_time = after[1] / after[0] if after[0] else 0.0
    now = (after[1] - before[1]) / max(after[0] - before[0], 1)
    state = f"{now:.1%} now, {all_time:.1%} since boot"
    return Advice("stolen time", state, max(now, all_time) <= MUCH_STEAL_SHARE, why, todo)


def _load(files: HostFiles, cpus: set[int]) -> Advice:
    value = next(iter(facts.numbers(files, "/proc/loadavg")), 0.0)
    why = "other programs compete for the CPUs that are measured"
    good = value <= MUCH_LOAD_PER_CPU * max(len(cpus), 1)
    todo = "stop what else runs, then wait a minute"
    return Advice("load", f"{value:.2f} over the last minute", good, why, todo)


def _irqbalance(files: HostFiles) -> Advice:
    runs = facts.running(files, "irqbalance")
    why = "it moves interrupts between CPUs while you measure, so that two runs differ by where they landed"
    return Advice(
        "irqbalance", "running" if runs else "not running", not runs, why, "sudo systemctl stop irqbalance"
    )


def _autogroup(files: HostFiles) -> Advice:
    on = files.flag("/proc/sys/kernel/sched_autogroup_enabled")
    state = {None: "not told", True: "on", False: "off"}[on]
    why = (
        "sessions share a CPU as groups and nice counts only within one: a hog of another session weighs more"
    )
    todo = (
        "sudo sysctl kernel.sched_autogroup_enabled=0, where production runs without it (services mostly do)"
    )
    return Advice("autogroup", state, not on, why, todo)


def _mitigations(files: HostFiles) -> Advice:
    paid = cpufacts.mitigations(files)
    why = "each system call and interrupt pays for them; compare only hosts that have the same"
    return Advice("mitigations", paid or "not told", True, why, "nothing, unless production has others")


def _virtualisation(files: HostFiles) -> Advice:
    kind = cpufacts.virtualisation(files)
    why = "waking another CPU leaves the guest, which makes blocking dearer and so busy polling look better"
    return Advice(
        "virtualisation", kind, kind == "none", why, "compare cases here, but take absolute times elsewhere"
    )
