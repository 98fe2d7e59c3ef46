"""What about this host makes latencies noisy or unlike production, and is no setting; why, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.kernel import cpufacts, facts
from harness.kernel.hostfiles import HostFiles

# Clock sources that are read without leaving the program; any other costs a microsecond per request.
FAST_CLOCKS = ("tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page")
MANY_CPUS = 4
MUCH_STEAL_SHARE = 0.01
MUCH_LOAD_PER_CPU = 0.5
_STOLEN = "the hypervisor ran somebody else on these CPUs; such a pause lands in p99, whatever the settings"
_QUIETER = "measure on a quieter or dedicated host, or repeat more often; runs above max_steal_share are suspect"


class Advice(NamedTuple):
    """One finding: what was looked at, how it is, whether that is good, why it matters and what to do."""

    check: str
    state: str
    good: bool
    why: str
    todo: str


def advice(root: Path | str = "/") -> list[Advice]:
    """Every check of what no setting changes, good ones too, in a fixed order; harness.host has those of settings."""
    files = HostFiles(root)
    cpus = cpufacts.online_cpus(files)
    return [
        _cpus(files, cpus),
        _clock(files),
        _smt(files),
        _steal(files),
        _load(files, cpus),
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


def _smt(files: HostFiles) -> Advice:
    smt = cpufacts.smt(files)
    why = "two CPUs of one core slow each other: a busy-polling program costs its sibling up to half its speed"
    todo = f"echo off | sudo tee {cpufacts.CPU_DIR}/smt/control, or give a node CPUs of different cores"
    return Advice("SMT", smt or "not told", smt != "on", why, todo)


def _steal(files: HostFiles) -> Advice:
    """Since boot: an instant says nothing of the minutes that a measurement takes."""
    ticks = facts.total_ticks(files)
    if ticks is None or not ticks[0]:
        return Advice("stolen time", "not told", True, _STOLEN, _QUIETER)
    share = ticks[1] / ticks[0]
    return Advice("stolen time", f"{share:.1%} since boot", share <= MUCH_STEAL_SHARE, _STOLEN, _QUIETER)


def stolen_in_runs(shares: Sequence[float], label: str) -> Advice:
    """The same of runs that were made: the share of each, and what to call them."""
    ordered = sorted(shares)
    middle, most = ordered[len(ordered) // 2], ordered[-1]
    state = f"{middle:.1%} in the middle one of {len(ordered)} runs of {label}, {most:.1%} at most"
    return Advice("stolen time in the last runs", state, middle <= MUCH_STEAL_SHARE, _STOLEN, _QUIETER)


def _load(files: HostFiles, cpus: set[int]) -> Advice:
    value = next(iter(facts.numbers(files, "/proc/loadavg")), 0.0)
    why = "other programs compete for the CPUs that are measured"
    good = value <= MUCH_LOAD_PER_CPU * max(len(cpus), 1)
    todo = "stop what else runs, then wait a minute"
    return Advice("load", f"{value:.2f} over the last minute", good, why, todo)


def _mitigations(files: HostFiles) -> Advice:
    paid = cpufacts.mitigations(files)
    why = "each system call and interrupt pays for them; compare only hosts that have the same"
    return Advice("mitigations", paid or "not told", True, why, "nothing, unless production has others")


def _virtualisation(files: HostFiles) -> Advice:
    kind = cpufacts.virtualisation(files)
    why = "waking another CPU leaves the guest, which makes blocking dearer and so busy polling look better"
    return Advice("virtualisation", kind, kind == "none", why, "compare cases here, but take absolute times elsewhere")
