"""The charts of one combination of factors as a figure: drawn, with their numbers as a table below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness import columns
from harness.analysis.compare import Factors
from harness.analysis.curves import Curve, LoadCurves, Trade
from harness.analysis.curves.reduce import GRID
from harness.report import words
from harness.report.charts import Chart
from harness.report.charts.kinds import QUANTILES, cost_name, distribution, tail
from harness.report.html.frame import figure, table
from harness.report.html.markup import Child, Markup, tag
from harness.report.html.style import Look
from harness.report.html.svg import drawn
from harness.stats import Estimate

_QUOTED = (("p50", 500_000), ("p90", 900_000), ("p99", 990_000), ("p99.9", 999_000), ("p99.99", 999_900))


def distribution_panel(look: Look, factors: Factors, curves: Sequence[Curve]) -> Markup:
    """Distribution and tail, with the quantiles that people quote."""
    where = words.where(factors)
    charts = (distribution(curves, where), tail(curves, where))
    return figure(where if factors else where.capitalize(), _pair(look, charts), table=_quantiles(curves))


def _pair(look: Look, charts: Sequence[Chart]) -> Markup:
    return tag("div", *(drawn(look, chart) for chart in charts), class_="pair")


def _quantiles(curves: Sequence[Curve]) -> Markup:
    heads = ["case", "runs", *(f"{name}, µs" for name, _ in _QUOTED), "max, µs", "requests", "lost"]
    rows: list[list[Child]] = []
    for curve in curves:
        row: list[Child] = [curve.case, str(curve.runs)]
        for _, quantile in _QUOTED:
            at = int(np.searchsorted(GRID, quantile))
            row.append(_time(curve.median_us[at]) if at < curve.firm else words.BLANK)
        rows.append([*row, _time(curve.high_us[-1]), f"{curve.answered:,}", f"{curve.lost:,}"])
    return table(heads, rows, caption="Median over runs of each run's quantile; greatest of all runs")


def _time(us: float) -> str:
    return words.short(float(us)) if us > 0 else words.BLANK


def load_panel(look: Look, curves: LoadCurves, factors: Factors, charts: Sequence[Chart]) -> Markup:
    """The charts of p50 and p99 against the swept number, with every median and interval."""
    caption = words.where(factors) if factors else f"Against {curves.axis.name}"
    heads = ["case", curves.axis.name]
    for metric in QUANTILES:
        heads += [f"{columns.metric(metric).label}, µs", "interval"]
    rows: list[list[Child]] = []
    for case, points in curves.panels[factors].items():
        for _, view in points:
            row: list[Child] = [case, dict(view.factors)[curves.axis.name]]
            for metric in QUANTILES:
                row += _fields(view.estimates.get(metric))
            rows.append(row)
    return figure(caption, _pair(look, charts), table=table(heads, rows, texts=2))


def _fields(estimate: Estimate | None) -> tuple[str, str]:
    """A median and its interval."""
    if estimate is None:
        return words.BLANK, ""
    return words.short(estimate.median), words.bracket(estimate.interval, gap=" – ")


def cost_panel(look: Look, factors: Factors, group: Sequence[Trade], chart: Chart) -> Markup:
    """The chart of CPU cost against p99, with both figures of every case and which cases are unbeaten."""
    heads = ["case", cost_name(group[0]), "interval", "p99, µs", "interval", "unbeaten"]
    rows: list[list[Child]] = [
        [trade.case, *_fields(trade.cost), *_fields(trade.gain), "yes" if trade.best else "no"] for trade in group
    ]
    return figure(words.where(factors), drawn(look, chart), table=table(heads, rows))
