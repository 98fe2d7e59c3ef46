"""Every chart of a set that can be chosen on its page, each under the answers that lead to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness import columns
from harness.analysis.compare import Factors
from harness.analysis.curves import Curve, Trade
from harness.analysis.curves.cells import HEAT_METRICS, load_curves
from harness.analysis.curves.factors import axes, levels, without
from harness.analysis.summary import CHANGED, CellView, Overview
from harness.report import words
from harness.report.charts import Chart, Dot, Polyline, Series
from harness.report.charts.kinds import (
    against_load,
    cost_charts,
    distribution,
    quantile_charts,
    reach,
    tail,
    value_scale,
)
from harness.report.charts.scale import Scale, log_scale, names_scale, tick_text
from harness.stats import Estimate

CASE = "case"
"""As what the chart goes across: the cases instead of a factor."""

CELLS = 400
"""So many cells of a set, from the first, can be chosen; the page would become large."""

Answers = Mapping[str, str]
"""The questions that lead to a chart, in the order in which they are asked, with its answers."""


@dataclass(frozen=True)
class Choice:
    """A chart under the answers that lead to it."""

    answers: Answers
    chart: Chart


def choices(
    view: Overview, curves: Mapping[Factors, Sequence[Curve]], trades: Mapping[Factors, Sequence[Trade]]
) -> Iterator[Choice]:
    """All charts of a set but its time series: figures by case and by factor, changes, distributions, CPU cost."""
    cells = view.cells[:CELLS]
    yield from _figures(cells)
    yield from (Choice({"Chart": "Quantiles", **dict(at)}, chart) for at, chart in quantile_charts(cells).items())
    yield from _changes(view, cells)
    for kind, draw in (("Distribution", distribution), ("Tail of the distribution", tail)):
        for factors, group in list(curves.items())[:CELLS]:
            yield Choice({"Chart": kind, **dict(factors)}, draw(group, words.where(factors)))
    for factors, chart in cost_charts(trades).items() if trades else ():
        yield Choice({"Chart": "CPU cost against p99", **dict(factors)}, chart)


def _figures(cells: Sequence[CellView]) -> Iterator[Choice]:
    """Every metric: against each swept factor, and the cases one below the other."""
    names = [name for name in _metrics(cells) if any(cell.median(name) is not None for cell in cells)]
    for name in names:
        column, groups = columns.metric(name), _groups(cells)
        lead = {"Chart": "Figures", "Figure": words.named(column)}
        for factor in _swept(cells):
            yield from (
                Choice({**lead, "Across": factor, **dict(rest)}, chart) for rest, chart in _across(cells, factor, name)
            )
        for factors, group in groups.items():
            estimates = [(cell.case, cell.estimates[name]) for cell in group if cell.median(name) is not None]
            if estimates:
                chart = by_case(estimates, value_scale(column, _reach(cells, name)), words.where(factors))
                yield Choice({**lead, "Across": CASE, **dict(factors)}, chart)


def _metrics(cells: Sequence[CellView]) -> list[str]:
    """The metrics of the cells: those that people ask for first, then the others in the cells' order."""
    names = list(dict.fromkeys(name for cell in cells for name in cell.estimates))
    return sorted(names, key=lambda name: HEAT_METRICS.index(name) if name in HEAT_METRICS else len(HEAT_METRICS))


def _across(cells: Sequence[CellView], factor: str, metric: str) -> Iterator[tuple[Factors, Chart]]:
    """Against a factor: lines where it is a number, markers alone where it is a word."""
    if any(axis.name == factor for axis in axes(cells, 2)):
        lines = load_curves(cells, 2, factor)
        if lines is not None:
            yield from ((rest, charts[0]) for rest, charts in against_load(lines, [metric]).items())
        return
    values = levels(cells)[factor]
    x = names_scale(values, factor)
    column = columns.metric(metric)
    y = replace(value_scale(column, _reach(cells, metric)), name=words.named(column))
    panels: dict[Factors, dict[str, list[Dot]]] = {}
    for cell in cells:
        place = dict(cell.factors).get(factor)
        estimate = cell.estimates.get(metric)
        if place is not None and estimate is not None and estimate.median is not None:
            dot = Dot((float(values.index(place)), estimate.median), up=estimate.interval, runs=estimate.n)
            panels.setdefault(without(cell.factors, factor), {}).setdefault(cell.case, []).append(dot)
    for rest, lines in panels.items():
        series = [Series(case, dots) for case, dots in lines.items()]
        yield rest, Chart(x, y, series, f"{y.name} by {factor}, {words.where(rest)}", "points")


def by_case(estimates: Sequence[tuple[str, Estimate]], scale: Scale, where: str) -> Chart:
    """The cases one below the other, each with its median and interval across."""
    y = names_scale([case for case, _ in estimates][::-1], "")
    series = []
    for at, (case, estimate) in enumerate(reversed(estimates)):
        dot = Dot((estimate.median or 0.0, float(at)), across=estimate.interval, runs=estimate.n, size=5.0)
        series.append(Series(case, [dot]))
    return Chart(scale, y, series[::-1], f"{scale.name} by case, {where}", "points")


def _changes(view: Overview, cells: Sequence[CellView]) -> Iterator[Choice]:
    """The ratio of every case to the baseline, beside the line of no change."""
    for name in CHANGED:
        column = columns.metric(name)
        ratios = [(cell, change.ratio) for cell in cells if (change := cell.changes.get(name)) and change.ratio]
        ends = [1.0, *(end for _, ratio in ratios for end in reach(Estimate(ratio.value, ratio.interval, 0)))]
        scale = log_scale(ends, f"{column.label}, times that of {view.baseline}", tick_text, around=1.1)
        for factors, group in _groups([cell for cell, _ in ratios]).items():
            of_cell = {cell.case: ratio for cell, ratio in ratios if cell.factors == factors}
            medians = [
                (cell.case, Estimate(of_cell[cell.case].value, of_cell[cell.case].interval, cell.changes[name].test.n))
                for cell in group
            ]
            chart = by_case(medians, scale, words.where(factors))
            line = Series("", [Polyline([(1.0, chart.y.limits()[0]), (1.0, chart.y.limits()[1])], "frontier")])
            answers = {"Chart": f"Change against {view.baseline}", "Figure": column.label, **dict(factors)}
            yield Choice(answers, replace(chart, series=[line, *chart.series]))


def _reach(cells: Sequence[CellView], metric: str) -> list[float]:
    return [end for cell in cells if cell.median(metric) is not None for end in reach(cell.estimates[metric])]


def _groups(cells: Sequence[CellView]) -> dict[Factors, list[CellView]]:
    groups: dict[Factors, list[CellView]] = {}
    for cell in cells:
        groups.setdefault(cell.factors, []).append(cell)
    return groups


def _swept(cells: Sequence[CellView]) -> list[str]:
    return [name for name, values in levels(cells).items() if len(values) > 1]
