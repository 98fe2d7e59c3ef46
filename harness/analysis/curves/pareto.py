"""CPU cost against tail latency: what each case pays and gets, and which cases no other one beats on both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.compare import Factors
from harness.analysis.summary import COSTS, CellView
from harness.stats import Estimate

GAIN = "rtt_p99_us"


@dataclass(frozen=True)
class Trade:
    """One cell's CPU cost per request and p99; best: no case under the same factors is cheaper and faster.

    metric: the column that the cost is of, the same in all cells.
    """

    metric: str
    case: str
    cost: Estimate
    gain: Estimate
    best: bool


def trades(views: Sequence[CellView]) -> dict[Factors, list[Trade]]:
    """The trades under each combination of factors, cheapest first; cells without either number are left out."""
    for metric in COSTS:
        groups: dict[Factors, list[tuple[str, Estimate, Estimate]]] = {}
        for view in views:
            cost, gain = view.estimates.get(metric), view.estimates.get(GAIN)
            if cost and gain and _positive(cost) and _positive(gain):
                groups.setdefault(view.factors, []).append((view.case, cost, gain))
        if groups:
            return {factors: _judged(metric, members) for factors, members in groups.items()}
    return {}


def _positive(estimate: Estimate) -> bool:
    return estimate.median is not None and estimate.median > 0


def _judged(metric: str, members: list[tuple[str, Estimate, Estimate]]) -> list[Trade]:
    def figures(member: tuple[str, Estimate, Estimate]) -> tuple[float, float]:
        return member[1].median or 0.0, member[2].median or 0.0

    judged, least = [], float("inf")
    for member in sorted(members, key=figures):
        best = figures(member)[1] < least
        least = min(least, figures(member)[1])
        judged.append(Trade(metric, *member, best))
    return judged
