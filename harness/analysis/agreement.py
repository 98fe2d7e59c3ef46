"""Do two result sets of one experiment lead to the same conclusions: signs and orders of effects?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.compare.environment import texts_of
from harness.analysis.compare.model import Change, Factors
from harness.analysis.summary import CellView, overview
from harness.tables.source import Source

METRICS = ("rtt_p50_us", "rtt_p99_us", "set_cpu_us_per_request", "cpu_us_per_request")


@dataclass(frozen=True)
class Conclusion:
    """One conclusion in both sets: its words in either, and whether they agree (None: one of them shows nothing).

    subject: the metric of an effect, or "order by p50"; against: the case that an effect is compared with, "" for an
    order.
    """

    case: str
    factors: Factors
    subject: str
    first: str
    second: str
    agree: bool | None
    against: str = ""


def places_differ(sources: Sequence[Source]) -> bool:
    """Were two sets made in different places (host, vm), or under different accelerators?"""
    places = {(texts_of(source.table, "place"), texts_of(source.runs, "accelerator")) for source in sources}
    return len(sources) == 2 and len(places) == 2


def agreement(first: Source, second: Source) -> list[Conclusion]:
    """Every effect against the baseline, and the order of the cases by p50, of cells that both sets have.

    Cells are the same that agree in the factors which both sets have: a set that was made under several kernels is held
    against the other kernel by kernel.
    """
    view, other = overview(first), overview(second)
    pairs = _pairs(view.cells, other.cells)
    conclusions = [
        _effect(one, two, factors, metric, view.baseline)
        for factors, one, two in pairs
        for metric in METRICS
        if metric in one.changes and metric in two.changes
    ]
    for factors in dict.fromkeys(factors for factors, _, _ in pairs):
        cells = [(one, two) for where, one, two in pairs if where == factors]
        if len(cells) > 1 and all(any(pair[side].estimates for pair in cells) for side in (0, 1)):
            conclusions.append(_order(cells, factors))
    return conclusions


def _pairs(first: Sequence[CellView], second: Sequence[CellView]) -> list[tuple[Factors, CellView, CellView]]:
    """The cells that both have, under all factors that either has."""
    names = [{name for cell in cells for name, _ in cell.factors} for cells in (first, second)]
    common = names[0] & names[1]

    def shared(cell: CellView) -> tuple[str, frozenset[tuple[str, str]]]:
        return cell.case, frozenset(pair for pair in cell.factors if pair[0] in common)

    return [
        (tuple(dict(one.factors + two.factors).items()), one, two)
        for one in first
        for two in second
        if shared(one) == shared(two)
    ]


def _effect(one: CellView, other: CellView, factors: Factors, metric: str, against: str) -> Conclusion:
    agree = _agree(one.changes[metric], other.changes[metric])
    return Conclusion(one.case, factors, metric, _words(one, metric), _words(other, metric), agree, against)


def _agree(first: Change, second: Change) -> bool | None:
    """None where either set leaves it undecided."""
    if not all(change.small or change.outcome in ("lower", "higher") for change in (first, second)):
        return None
    return first.outcome == second.outcome


def _words(cell: CellView, metric: str) -> str:
    change = cell.changes[metric]
    if change.outcome in ("lower", "higher"):
        return f"{change.factor:.2f}x {change.outcome}" if change.factor else change.outcome
    if change.outcome:
        return "undecided" if change.no_larger is None else f"within {100 * change.no_larger:g} %"
    return "few runs" if change.note.startswith("a claim needs") else "not measured"


def _order(cells: Sequence[tuple[CellView, CellView]], factors: Factors) -> Conclusion:
    orders = []
    for side in (0, 1):
        cells_of = [pair[side] for pair in cells]
        medians = [(p50, cell.case) for cell in cells_of if (p50 := cell.median("rtt_p50_us")) is not None]
        orders.append([case for _, case in sorted(medians)])
    agree = orders[0] == orders[1] if len(orders[0]) == len(orders[1]) == len(cells) else None
    return Conclusion("all cases", factors, "order by p50", " < ".join(orders[0]), " < ".join(orders[1]), agree)
