"""Do two result sets of one experiment lead to the same conclusions: signs and orders of effects?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.compare.environment import texts_of
from harness.compare.model import Factors
from harness.overview import CellView, overview
from harness.tables.source import Source

METRICS = ("rtt_p50_us", "rtt_p99_us", "cpu_us_per_request")


@dataclass(frozen=True)
class Finding:
    """One conclusion in both sets: its words in either, and whether they agree (None: one of them shows nothing)."""

    case: str
    factors: Factors
    what: str
    first: str
    second: str
    agree: bool | None


def places_differ(sources: Sequence[Source]) -> bool:
    """Were two sets made in different places (host, vm), or under different accelerators?"""
    found = {(texts_of(each.runs, "place"), texts_of(each.runs, "accelerator")) for each in sources}
    return len(sources) == 2 and len(found) == 2


def agreement(first: Source, second: Source) -> list[Finding]:
    """Every effect against the baseline, and the order of the cases by p50, of cells that both sets have."""
    one = {(cell.case, cell.factors): cell for cell in overview(first).cells}
    other = {(cell.case, cell.factors): cell for cell in overview(second).cells}
    shared = [key for key in one if key in other]
    found = [
        _effect(one[key], other[key], metric)
        for key in shared
        for metric in METRICS
        if metric in one[key].changes and metric in other[key].changes
    ]
    for factors in dict.fromkeys(key[1] for key in shared):
        cases = [key[0] for key in shared if key[1] == factors]
        if len(cases) > 1:
            found.append(_order(cases, factors, one, other))
    return found


def _effect(one: CellView, other: CellView, metric: str) -> Finding:
    first, second = one.changes[metric], other.changes[metric]
    signs = first.outcome, second.outcome
    known = all(sign in ("lower", "higher") for sign in signs) or signs == ("~", "~")
    agree = signs[0] == signs[1] if known or "" not in signs else None
    return Finding(one.case, one.factors, metric, _words(one, metric), _words(other, metric), agree)


def _words(cell: CellView, metric: str) -> str:
    change = cell.changes[metric]
    if change.outcome in ("lower", "higher"):
        return f"{change.factor:.2f}x {change.outcome}" if change.factor else change.outcome
    return change.outcome or change.note or "unknown"


def _order(
    cases: list[str],
    factors: Factors,
    one: dict[tuple[str, Factors], CellView],
    other: dict[tuple[str, Factors], CellView],
) -> Finding:
    orders = []
    for views in (one, other):
        known = [(views[case, factors].estimates.get("rtt_p50_us"), case) for case in cases]
        orders.append(
            [
                case
                for estimate, case in sorted(
                    (
                        (estimate.median, case)
                        for estimate, case in known
                        if estimate is not None and estimate.median is not None
                    )
                )
            ]
        )
    agree = orders[0] == orders[1] if len(orders[0]) == len(orders[1]) == len(cases) else None
    return Finding("all cases", factors, "order by p50", " < ".join(orders[0]), " < ".join(orders[1]), agree)
