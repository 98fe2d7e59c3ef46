"""Reasons not to believe a run's figures: other programs, losses, polling that nobody asked for, a coarse clock."""

from __future__ import annotations

import math
from typing import Any

from harness.run.metrics import seen_on
from harness.run.outcome import Outcome, Part
from harness.spec.checks import Checks

_STABLE_RESOLUTION_NS = 1000
# Fewer ticks say nothing of a share: one is 10 ms of whatever the CPU was in at its end.
_STEAL_TICKS_MIN = 3
# A declared loss is a chance: so many standard deviations more are no doubt.
_SIGMAS = 4.0


def _unasked(outcome: Outcome, part: Part, polling: set[str]) -> str:
    """Busy polling that nobody asked for: a base that is polled is no base. Foreign programs may have asked."""
    polled = seen_on(outcome, part.node, 0.0).polled
    if not polled or part.node in polling or "readback" not in part.report:
        return ""
    return f"{polled} packets of {part.node} were busy-polled though no knob asked for it; is net.core.busy_read set?"


def doubts(
    outcome: Outcome, metrics: dict[str, Any], checks: Checks, polling: set[str], declared_loss: float = 0.0
) -> list[str]:
    """Reasons not to believe the run's figures; empty when there are none.

    polling: nodes told to busy-poll. declared_loss: share of requests that the links are told to lose.
    """
    reasons = [*_noise(outcome, metrics, checks), *_losses(metrics, checks, declared_loss)]
    reasons += dict.fromkeys(reason for part in outcome.parts if (reason := _unasked(outcome, part, polling)))
    before, after = outcome.difference.clocksources
    if before != after:
        reasons.append(f"the clock source changed from {before} to {after} during the run")
    resolution = (outcome.client.get("clock") or {}).get("source_resolution_ns", 0)
    if resolution > _STABLE_RESOLUTION_NS:
        reasons.append(f"the clock moves in steps of {resolution} ns")
    reasons += [f"no figures of {each['unread']}" for each in outcome.background if each.get("unread")]
    if outcome.hog is not None and metrics.get("hog_achieved_percent") == 0.0:
        reasons.append("the hogs got no CPU time at all")
    return reasons


def _noise(outcome: Outcome, metrics: dict[str, Any], checks: Checks) -> list[str]:
    """Other programs, and the hypervisor."""
    reasons = []
    foreign = metrics.get("foreign_percent") or 0.0
    if foreign > 100 * checks.max_foreign_share:
        reasons.append(
            f"other programs took {foreign:.0f} % of a CPU of the set, {outcome.difference.loads.worst_name()} "
            f"most of it; limit {checks.max_foreign_share:.0%}"
        )
    steal = metrics.get("set_steal_percent") or 0.0
    ticks = sum(
        outcome.difference.ticks[cpu]["steal"] for cpu in outcome.cpus if cpu in outcome.difference.ticks
    )
    if steal > 100 * checks.max_steal_share and ticks >= _STEAL_TICKS_MIN:
        reasons.append(
            f"the hypervisor stole {steal:.1f} % of the CPU set; limit {checks.max_steal_share:.0%}"
        )
    return reasons


def _losses(metrics: dict[str, Any], checks: Checks, declared: float) -> list[str]:
    """Lost requests are in no quantile, so a run that lost many looks better than it was."""
    if metrics.get("requests") is None:
        # A stream has no requests: its program counts lost datagrams.
        return []
    lost, answered = metrics.get("lost") or 0, metrics["requests"]
    sent = lost + answered
    chance = _SIGMAS * math.sqrt(sent * declared * (1 - declared))
    if lost <= (declared + checks.max_lost_share) * sent + chance:
        return []
    allowed = f", besides the {declared:.1%} that the links declare" if declared else ""
    return [f"{lost} of {sent} requests were lost; limit {checks.max_lost_share:.1%}{allowed}"]
