"""Charts of cells: quantiles against a swept number, cases against contention as colours, CPU cost against p99."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.compare import Factors
from harness.analysis.curves.factors import NumericFactor, axes, levels, without
from harness.analysis.summary import COSTS, CellView
from harness.stats import Estimate

HEAT_METRICS = ("rtt_p50_us", "rtt_p99_us", "rtt_p99_9_us", *COSTS[:2])
"""The metrics that a heat map can show."""

GAIN = "rtt_p99_us"
"""The metric that CPU is spent for."""


@dataclass(frozen=True)
class LoadCurves:
    """The factor on the x axis, and per panel (other factors) and case the estimates at each of its values."""

    axis: NumericFactor
    panels: dict[Factors, dict[str, list[tuple[float, CellView]]]]

    def estimates(self, panel: Factors, case: str, metric: str) -> list[tuple[float, Estimate]]:
        """Points of one line: the factor's number and the estimate there, where there is one."""
        points = self.panels[panel].get(case, [])
        return [(x, view.estimates[metric]) for x, view in points if view.median(metric) is not None]


def load_curves(views: Sequence[CellView], least: int = 3, over: str = "") -> LoadCurves | None:
    """The load chart of these cells, over the first of `axes`; None where no number of `least` values was swept.

    over: the name of the factor, where another than the first is meant.
    """
    factors = [axis for axis in axes(views, least) if over in ("", axis.name)]
    if not factors:
        return None
    axis = factors[0]
    panels: dict[Factors, dict[str, list[tuple[float, CellView]]]] = {}
    for view in views:
        value = dict(view.factors).get(axis.name)
        if value is None:
            continue
        lines = panels.setdefault(without(view.factors, axis.name), {})
        lines.setdefault(view.case, []).append((axis.numbers[value], view))
    for lines in panels.values():
        for points in lines.values():
            points.sort(key=lambda point: point[0])
    return LoadCurves(axis, panels)


@dataclass(frozen=True)
class HeatMap:
    """A table of cells: a row per case and combination of other factors, a column per value of `factor`.

    rows: the cell of each column, None where there is none; metrics: those that any cell has a figure of.
    """

    factor: str
    values: list[str]
    rows: dict[tuple[str, Factors], list[CellView | None]]
    metrics: tuple[str, ...]

    def median(self, row: tuple[str, Factors], at: int, metric: str) -> float | None:
        """The median in one field; None where there is no number."""
        view = self.rows[row][at]
        return view.median(metric) if view is not None else None


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
        empty: list[CellView | None] = [None] * len(swept[factor])
        row = rows.setdefault((view.case, without(view.factors, factor)), empty)
        value = dict(view.factors).get(factor)
        if value is not None:
            row[swept[factor].index(value)] = view
    seen = tuple(name for name in HEAT_METRICS if any(view.median(name) is not None for view in views))
    return HeatMap(factor, swept[factor], rows, seen) if seen else None


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
            if (view.median(metric) or 0.0) > 0 and (view.median(GAIN) or 0.0) > 0:
                pair = (view.case, view.estimates[metric], view.estimates[GAIN])
                groups.setdefault(view.factors, []).append(pair)
        if groups:
            return {factors: _judged(metric, members) for factors, members in groups.items()}
    return {}


def _judged(metric: str, members: list[tuple[str, Estimate, Estimate]]) -> list[Trade]:
    def figures(member: tuple[str, Estimate, Estimate]) -> tuple[float, float]:
        return member[1].median or 0.0, member[2].median or 0.0

    judged, least = [], float("inf")
    for member in sorted(members, key=figures):
        best = figures(member)[1] < least
        least = min(least, figures(member)[1])
        judged.append(Trade(metric, *member, best))
    return judged
