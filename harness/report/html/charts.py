"""The sections of a set that are charts, each drawn with its numbers below; one with nothing to draw is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from harness import columns
from harness.analysis.compare import Factors
from harness.analysis.curves import Curve, RunShape, Study, curves, shapes, typical_runs
from harness.analysis.curves.cells import LoadCurves, Trade, heat_map, load_curves, trades
from harness.analysis.curves.factors import short_name
from harness.analysis.curves.reduce import GRID, Timeline
from harness.analysis.summary import Overview
from harness.report import words
from harness.report.charts import Chart
from harness.report.charts.heat import scale_words
from harness.report.charts.kinds import QUANTILES, against_load, cost_charts, cost_name, distribution, tail, time_series
from harness.report.html import svg
from harness.report.html.heat import heat_tables
from harness.report.html.markup import Child, Markup, figure, join, section, table, tag
from harness.report.html.style import Look
from harness.stats import Estimate
from harness.tables.cells import SummaryCell, group_cells
from harness.tables.columnar import objects

Item = TypeVar("Item")

_QUOTED = (("p50", 500_000), ("p90", 900_000), ("p99", 990_000), ("p99.9", 999_000), ("p99.99", 999_900))

OPEN, FOLDED = 4, 20
"""Panels of a section that are shown at once, and how many more behind a fold; the rest is left out, and said."""

VIEWABLE = 500
"""Runs whose time series is in the page: about one kilobyte each."""

STRIPS = 12
"""Time series shown at once; any other can be chosen under Explore."""


def chart_sections(look: Look, drawn: Drawn) -> Iterator[Markup]:
    """Distributions, load, heat map, trade-off, time series, in that order."""
    parts = (part(look, drawn) for part in (_distributions, _load, _heat, _cost))
    yield from (part for part in (*parts, _times(look, drawn)) if part is not None)


def _distributions(look: Look, drawn: Drawn) -> Markup | None:
    groups = curves(drawn.study.source, drawn.cells, drawn.shapes)
    if not groups:
        return None
    panels = folded(list(groups), lambda at: distribution_panel(look, at, groups[at]))
    lead = (
        "Line: at every quantile the median over runs. Shade: from the lowest to the highest run. Dotted: fewer than "
        "ten samples of a run lie beyond."
    )
    key, title = f"{drawn.key}distribution", "Latency distributions"
    return section(key, title, *panels, lead=lead, short="Distributions")


def _load(look: Look, drawn: Drawn) -> Markup | None:
    lines = load_curves(drawn.view.cells)
    if lines is None:
        return None
    charts = against_load(lines)
    panels = folded(list(charts), lambda panel: load_panel(look, lines, panel, charts[panel]))
    name = short_name(lines.axis.name).replace("_", " ")
    lead = f"Median over runs with its interval, against {lines.axis.name}."
    return section(f"{drawn.key}load", f"Quantiles over {name}", *panels, lead=lead, short=f"Over {name}")


def _heat(look: Look, drawn: Drawn) -> Markup | None:
    heat = heat_map(drawn.view.cells)
    if heat is None:
        return None
    title = "Contention heat map" if heat.factor.startswith("contention") else "Heat map"
    lead = scale_words(drawn.view.baseline)
    return section(f"{drawn.key}heat", title, heat_tables(look, heat, drawn.view), lead=lead, short="Heat map")


def _cost(look: Look, drawn: Drawn) -> Markup | None:
    groups = trades(drawn.view.cells)
    if not groups:
        return None
    charts = cost_charts(groups)
    panels = folded(list(charts), lambda at: cost_panel(look, at, groups[at], charts[at]))
    lead = "Lower left is better. The stepped line joins the cases that no other case beats on both."
    return section(f"{drawn.key}trade", "CPU cost against p99", _grid(*panels), lead=lead, short="CPU cost")


def _times(look: Look, drawn: Drawn) -> Markup | None:
    picked = [
        (case, words.cell(case, factors), drawn.series[run_id])
        for (case, factors), run_id in drawn.typical.items()
        if run_id in drawn.series
    ]
    if not picked:
        return None
    charts = time_series(picked[:STRIPS])
    strips = [figure(title, svg.drawn(look, chart)) for (_, title, _), chart in zip(picked, charts, strict=False)]
    lead = (
        "One run of each cell: the one whose p99 is nearest to the cell's median. Line: median of every "
        f"{words.short(picked[0][2].slice_s * 1e3)} ms; needle: up to the greatest round trip in it, so that no "
        "hiccup is hidden."
    )
    more = f"The first {STRIPS} of {len(picked)} cells; Explore draws any run." if len(picked) > STRIPS else ""
    note = tag("p", more, class_="note") if more else None
    key, title = f"{drawn.key}times", "Time series and hiccups"
    return section(key, title, _grid(*strips), note, lead=lead, short="Time series")


def _grid(*content: Child) -> Markup:
    return tag("div", *content, class_="grid2")


def distribution_panel(look: Look, factors: Factors, curves: Sequence[Curve]) -> Markup:
    """Distribution and tail, with the quantiles that people quote."""
    where = words.where(factors)
    charts = (distribution(curves, where), tail(curves, where))
    return figure(where if factors else where.capitalize(), _pair(look, charts), table=_quantiles(curves))


def _pair(look: Look, charts: Sequence[Chart]) -> Markup:
    return tag("div", *(svg.drawn(look, chart) for chart in charts), class_="pair")


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
                row += fields_of(view.estimates.get(metric))
            rows.append(row)
    return figure(caption, _pair(look, charts), table=table(heads, rows, texts=2))


def fields_of(estimate: Estimate | None) -> tuple[str, str]:
    """A median and its interval, as tables have them."""
    if estimate is None:
        return words.BLANK, ""
    return words.short(estimate.median), words.bracket(estimate.interval, gap=" – ")


def cost_panel(look: Look, factors: Factors, group: Sequence[Trade], chart: Chart) -> Markup:
    """The chart of CPU cost against p99, with both figures of every case and which cases are unbeaten."""
    heads = ["case", cost_name(group[0]), "interval", "p99, µs", "interval", "unbeaten"]
    rows: list[list[Child]] = [
        [trade.case, *fields_of(trade.cost), *fields_of(trade.gain), "yes" if trade.best else "no"] for trade in group
    ]
    return figure(words.where(factors), svg.drawn(look, chart), table=table(heads, rows))


def folded(items: Sequence[Item], draw: Callable[[Item], Markup]) -> list[Markup]:
    """The first items drawn in sight, more behind a fold, and a note of those that are in neither."""
    parts = [draw(item) for item in items[:OPEN]]
    behind = [draw(item) for item in items[OPEN : OPEN + FOLDED]]
    if behind:
        title = f"{len(behind)} more {'combination' if len(behind) == 1 else 'combinations'} of factors"
        parts.append(tag("details", tag("summary", title), tag("div", join(behind)), class_="more"))
    left = len(items) - OPEN - len(behind)
    if left > 0:
        note = f"{left:,} further combinations are not drawn here; pollbench plot --at draws any of them."
        parts.append(tag("p", note, class_="note"))
    return parts


@dataclass(frozen=True)
class Drawn:
    """A set and its samples' shapes; `key` tells its ids on the page from those of other sets."""

    key: str
    study: Study
    view: Overview
    cells: list[SummaryCell]
    shapes: dict[str, RunShape]
    typical: dict[tuple[str, Factors], str]

    @cached_property
    def series(self) -> dict[str, Timeline]:
        """The time series there are, by run id."""
        return {name: shape.timeline for name, shape in self.shapes.items() if shape.timeline is not None}


def draw(key: str, study: Study, view: Overview, viewable: int = VIEWABLE) -> Drawn:
    """Read the samples once: of valid runs for the distributions, of the first runs for the time series."""
    runs = study.source.runs
    cells = group_cells(runs)
    typical = typical_runs(study.source, cells)
    ids = [str(name) for name in objects(runs["run_id"])] if "run_id" in runs.columns else []
    timed = list(dict.fromkeys([*typical.values(), *ids]))[:viewable]
    valid = [ids[row] for cell in cells for row in cell.valid] if ids else []
    by_run = {shape.run_id: shape for shape in shapes(study, list(dict.fromkeys([*valid, *timed])), timed)}
    if study.results is not None:
        # Samples are read here and no earlier, so only now is it known which of them are damaged.
        view = replace(view, warnings=tuple(dict.fromkeys([*view.warnings, *study.results.warnings])))
    return Drawn(key, study, view, cells, by_run, typical)
