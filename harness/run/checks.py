"""Reasons not to believe a run's figures: other programs, losses, polling that nobody asked for, a coarse clock."""

from __future__ import annotations

import math

from harness.run.cpu_set import CpuInterference
from harness.run.metrics import seen_on
from harness.run.outcome import Outcome, ProgramOutcome
from harness.spec.checks import Checks
from harness.store.record import Metrics

_STABLE_RESOLUTION_NS = 1000
NOISE = ("foreign", "steal", "clock")
"""Why a run is made again, and nothing else is a reason: other programs' time on the CPU set, time that the hypervisor
took from it, and another clock source at the end than at the beginning. None of it looks at what was measured."""
# The ways to wait whose busy-polled packets the kernel counts all.
_COUNTED = ("blocking", "epoll", "uring")
# Fewer ticks say nothing of a share: one is 10 ms of whatever the CPU was in at its end.
_STEAL_TICKS_MIN = 3
# A declared loss is a chance: so many standard deviations more are no doubt.
_SIGMAS = 4.0
# Some are always under way when a program ends.
_MOSTLY = 0.5


def _unasked(outcome: Outcome, program: ProgramOutcome, polling: set[str]) -> str:
    """A doubt where a node busy-polled though no knob asked for it: such a run is no base to compare with.

    External programs are left out: they may have asked for it themselves.
    """
    polled = seen_on(outcome, program.node, 0.0).polled
    if not polled or program.node in polling or "readback" not in program.report:
        return ""
    return (
        f"{polled} packets of {program.node} were busy-polled though no knob asked for it; is net.core.busy_read set?"
    )


def _partly(outcome: Outcome, node: str, checks: Checks) -> str:
    """A doubt where busy polling that a knob asked for took a few packets only: most came as they do without it."""
    seen = seen_on(outcome, node, 0.0)
    share = seen.polled_share()
    if seen.wait not in _COUNTED or not checks.min_polled_share <= share < checks.doubt_polled_share or not share:
        return ""
    return (
        f"{seen.polled} of {seen.received} packets of {node} were busy-polled ({share:.1%}): its figures are mostly "
        f"those of packets that came otherwise; limit {checks.doubt_polled_share:.0%}"
    )


def _unsent(program: ProgramOutcome) -> str:
    """A doubt where the driver took next to none of the frames that an AF_XDP socket was to send."""
    xdp = program.report.get("xdp") or {}
    unsent, sent = xdp.get("unsent", 0), xdp.get("sent", 0)
    if not sent or unsent < _MOSTLY * sent:
        return ""
    text = f"{unsent} of {sent} frames that {program.label} sent were never taken by the driver of {xdp['interface']}"
    if xdp["mode"] != "zero-copy" or not program.report.get("readback", {}).get("prefer_busy_poll"):
        return text
    return (
        f"{text}: with SO_PREFER_BUSY_POLL the kernel does not wake it to send, and polls the receive queue's NAPI, "
        "which sends only where the transmit queue is its own, too; have the server wait by poll"
    )


def doubts(
    outcome: Outcome, metrics: Metrics, checks: Checks, polling: set[str], declared_loss: float = 0.0
) -> list[str]:
    """Reasons not to believe the run's figures; empty when there are none.

    polling: nodes told to busy-poll. declared_loss: share of requests that the links are told to lose.
    """
    reasons = [*noise(outcome, metrics, checks).values(), *_losses(metrics, checks, declared_loss)]
    reasons += dict.fromkeys(reason for program in outcome.programs if (reason := _unasked(outcome, program, polling)))
    reasons += [reason for node in sorted(polling) if (reason := _partly(outcome, node, checks))]
    reasons += [reason for program in outcome.programs if (reason := _unsent(program))]
    reasons += outcome.changed
    resolution = (outcome.client.get("clock") or {}).get("source_resolution_ns", 0)
    if resolution > _STABLE_RESOLUTION_NS:
        reasons.append(f"the clock moves in steps of {resolution} ns")
    reasons += [f"no figures of {report['unread']}" for report in outcome.background if report.get("unread")]
    if outcome.hog is not None and metrics.get("hog_achieved_percent") == 0.0:
        reasons.append("the hogs got no CPU time at all")
    return reasons


def noise(outcome: Outcome, metrics: Metrics, checks: Checks) -> dict[str, str]:
    """Doubts for reasons of NOISE alone, each in words."""
    reasons: dict[str, str] = {}
    hosts = outcome.delta.hosts.values()
    foreign = metrics.get("foreign_percent") or 0.0
    if foreign > 100 * checks.max_foreign_share:
        worst = max((host.interference for host in hosts), key=CpuInterference.worst_cpu_ns)
        reasons["foreign"] = (
            f"other programs took {foreign:.0f} % of a CPU of the set, {worst.worst_name()} "
            f"most of it; limit {checks.max_foreign_share:.0%}"
        )
    steal = metrics.get("set_steal_percent") or 0.0
    ticks = sum(host.ticks[cpu]["steal"] for host in hosts for cpu in host.cpus if cpu in host.ticks)
    if steal > 100 * checks.max_steal_share and ticks >= _STEAL_TICKS_MIN:
        reasons["steal"] = f"the hypervisor stole {steal:.1f} % of the CPU set; limit {checks.max_steal_share:.0%}"
    for before, after in (host.clocksources for host in hosts):
        if before != after:
            reasons["clock"] = f"the clock source changed from {before} to {after} during the run"
    return reasons


def _losses(metrics: Metrics, checks: Checks, declared: float) -> list[str]:
    """A doubt where too many requests were lost: they are in no quantile, so the run looks better than it was."""
    answered = metrics.get("requests")
    if answered is None:
        # A stream has no requests: its program counts lost datagrams.
        return []
    lost = metrics.get("lost") or 0
    sent = lost + answered
    chance = _SIGMAS * math.sqrt(sent * declared * (1 - declared))
    if lost <= (declared + checks.max_lost_share) * sent + chance:
        return []
    allowed = f", besides the {declared:.1%} that the links declare" if declared else ""
    return [f"{lost} of {sent} requests were lost; limit {checks.max_lost_share:.1%}{allowed}"]
