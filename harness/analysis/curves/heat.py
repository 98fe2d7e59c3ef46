"""Cases against contention as a table of colours: rows are cases, columns the values of one factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.compare import Factors
from harness.analysis.curves.factors import levels, without
from harness.analysis.summary import CellView
from harness.stats import Estimate

METRICS = ("rtt_p50_us", "rtt_p99_us", "rtt_p99_9_us", "cpu_us_per_request")


@dataclass(frozen=True)
class HeatMap:
    """factor: whose values the columns are; rows: case and other factors, with the cell of each column or None."""

    factor: str
    values: list[str]
    rows: dict[tuple[str, Factors], list[CellView | None]]
    metrics: tuple[str, ...]

    def estimate(self, row: tuple[str, Factors], at: int, metric: str) -> Estimate | None:
        """The estimate in one field; None where there is no number."""
        view = self.rows[row][at]
        estimate = view.estimates.get(metric) if view is not None else None
        return estimate if estimate is not None and estimate.median is not None else None


def heat_map(views: Sequence[CellView]) -> HeatMap | None:
    """The heat map of these cells; None when nothing was swept.

    The columns are the factor that sets contention; without one, the swept factor with the most values.
    """
    swept = {name: values for name, values in levels(views).items() if len(values) > 1}
    if not swept:
        return None
    contention = [name for name in swept if name.startswith("contention.")]
    factor = contention[0] if contention else max(swept, key=lambda name: len(swept[name]))
    rows: dict[tuple[str, Factors], list[CellView | None]] = {}
    for view in views:
        row = rows.setdefault((view.case, without(view.factors, factor)), [None] * len(swept[factor]))
        value = dict(view.factors).get(factor)
        if value is not None:
            row[swept[factor].index(value)] = view
    seen = tuple(name for name in METRICS if any(_has(view, name) for view in views))
    return HeatMap(factor, swept[factor], rows, seen) if seen else None


def _has(view: CellView, name: str) -> bool:
    estimate = view.estimates.get(name)
    return estimate is not None and estimate.median is not None
