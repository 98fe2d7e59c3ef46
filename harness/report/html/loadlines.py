"""Quantiles against a swept number: a chart for p50 and one for p99, a line with intervals per case."""

from __future__ import annotations

from itertools import pairwise

from harness import columns
from harness.analysis.compare import Factors
from harness.analysis.curves import LoadCurves
from harness.analysis.curves.factors import short_name
from harness.report import words
from harness.report.html.frame import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axes, figure, path, svg, table
from harness.report.html.labels import Labels
from harness.report.html.markup import Child, Markup, tag
from harness.report.html.pareto import said
from harness.report.html.scale import Scale, linear_scale, log_scale, tick_text, time_text
from harness.report.html.style import Look, where
from harness.stats import Estimate

_SHOWN = ("rtt_p50_us", "rtt_p99_us")
_WIDE = 30

Line = list[tuple[float, Estimate]]


def latency_scale(found: LoadCurves) -> Scale:
    """One scale for the latencies of all panels."""
    values = [
        end
        for panel, lines in found.panels.items()
        for case in lines
        for metric in _SHOWN
        for _, estimate in found.estimates(panel, case, metric)
        for end in _ends(estimate)
    ]
    return log_scale(values, HEIGHT - BOTTOM, TOP, around=1.25)


def _ends(found: Estimate) -> list[float]:
    ends = [found.interval.low, found.interval.high] if found.interval else []
    return [*ends, found.median or 0.0]


def panel(look: Look, found: LoadCurves, at: Factors, y: Scale) -> Markup:
    """A chart per quantile for one combination of the other factors."""
    charts = [_chart(look, found, at, metric, y) for metric in _SHOWN]
    caption = where(at) if at else f"Against {found.axis.name}"
    return figure(caption, tag("div", *charts, class_="pair"), table=_numbers(found, at))


def _chart(look: Look, found: LoadCurves, panel: Factors, metric: str, y: Scale) -> Markup:
    numbers = sorted(set(found.axis.numbers.values()))
    x = _x_scale(numbers)
    unit = f", {found.axis.said_unit}" if found.axis.said_unit else ""
    quantile = columns.metric(metric).label.removeprefix("RTT ")
    axes = Axes(
        x, y, f"{short_name(found.axis.name)}{unit}", f"{quantile} round-trip time", tick_text, time_text,
        x_ticks=numbers if len(numbers) <= 6 and not _crowded(x, numbers) else None,
    )  # fmt: skip
    lines = {case: found.estimates(panel, case, metric) for case in found.panels[panel]}
    places = {
        case: [(x.at(at), y.at(each.median or 0.0)) for at, each in line]
        for case, line in lines.items()
        if line
    }
    room = Labels(list(places.values()), HEIGHT - BOTTOM)
    groups = []
    for case, spots in places.items():
        # Each case a little aside, or whiskers of several would stand on one another.
        marks = [_mark(look, axes, case, point, quantile) for point in lines[case]]
        name = room.place(case, spots[::-1], "direct")
        groups.append(look.group(case, path(spots, "line", look.dash(case)), *marks, name))
    label = f"{quantile} round-trip time against {found.axis.name}, {where(panel)}"
    return svg(axes, *groups, label=label, data={"kind": "points"})


def _x_scale(numbers: list[float]) -> Scale:
    positive = [number for number in numbers if number > 0]
    if len(positive) == len(numbers) > 2 and max(positive) / min(positive) > _WIDE:
        return log_scale(positive, LEFT + 8, WIDTH - RIGHT - 8, around=1.02)
    return linear_scale(numbers, LEFT + 8, WIDTH - RIGHT - 8)


def _crowded(x: Scale, numbers: list[float]) -> bool:
    places = [x.at(number) for number in numbers]
    return any(after - before < 34 for before, after in pairwise(places))


def _mark(look: Look, axes: Axes, case: str, point: tuple[float, Estimate], quantile: str) -> Markup:
    at, estimate = point
    x, y = axes.x.at(at), axes.y.at(estimate.median or 0.0)
    parts: list[Child] = []
    if estimate.interval:
        low, high = axes.y.at(estimate.interval.low), axes.y.at(estimate.interval.high)
        parts.append(tag("line", x1=x, x2=x, y1=low, y2=high, class_="whisker"))
    told = f"{case} at {axes.x_name.split(',')[0]} {tick_text(at)}: {quantile} {said(estimate)} µs, {estimate.n} runs"
    return tag("g", *parts, look.marker(case, x, y, 3.6), class_="pt", data_tip=told)


def _numbers(found: LoadCurves, panel: Factors) -> Markup:
    heads = ["case", found.axis.name]
    for metric in _SHOWN:
        heads += [f"{columns.metric(metric).label}, µs", "interval"]
    rows: list[list[Child]] = []
    for case, points in found.panels[panel].items():
        for _, view in points:
            row: list[Child] = [case, dict(view.factors)[found.axis.name]]
            for metric in _SHOWN:
                each = view.estimates.get(metric)
                row += [
                    words.short(each.median if each else None),
                    words.bracket(each.interval if each else None, gap=" – "),
                ]
            rows.append(row)
    return table(heads, rows, texts=2)
