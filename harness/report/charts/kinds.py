"""The charts there are: distribution and tail, quantiles against a number, CPU cost against p99, time series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile

import numpy as np

from harness import columns
from harness.analysis.compare import Factors
from harness.analysis.curves import Curve, LoadCurves, Trade
from harness.analysis.curves.factors import short_name
from harness.analysis.curves.reduce import GRID, MILLION, Floats, Timeline
from harness.analysis.summary import CellView
from harness.columns import Column
from harness.report import words
from harness.report.charts import Band, Chart, ChartMark, Dot, Losses, Needles, Peak, Point, Polyline, Series
from harness.report.charts.scale import Scale, linear_scale, log_scale, names_scale, share_text, tick_text, time_text
from harness.stats import Estimate

QUANTILES = ("rtt_p50_us", "rtt_p99_us")
"""The metrics that are drawn against a load."""

_SPREAD = (*QUANTILES, "rtt_p99_9_us")
_SHARES = GRID / MILLION
_BESIDE = (0.5, 0.65, 0.35, 0.8, 0.2, 0.9, 0.1)
_WIDE = 30
_AIR = 0.0216


def distribution(curves: Sequence[Curve], where: str) -> Chart:
    """Share of requests answered within a time: the median run as a line, the span of all runs as a band."""
    last = int(np.searchsorted(GRID, 995_000))
    times = [us for curve in curves for us in (*curve.low_us[:last], *curve.median_us[:last])]
    y = Scale(0.0, 1.0, False, "share of requests answered", share_text)
    series = []
    for curve in curves:
        line = _points(curve.median_us, _SHARES)
        band = Band(_points(curve.low_us, _SHARES), _points(curve.high_us, _SHARES))
        anchors = [line[int(share * (len(line) - 1) * 0.55)] for share in _BESIDE] if line else []
        series.append(Series(curve.case, [band, Polyline(line)], anchors))
    label = f"Distribution of the round-trip time, {where}"
    return Chart(log_scale(times, "round-trip time"), y, series, label, "share")


def tail(curves: Sequence[Curve], where: str) -> Chart:
    """Share of requests slower than a time, both logarithmic; faint where too few samples lie beyond."""
    low = min([0.01, *map(_least_share, curves)])
    decades = [10.0**-power for power in range(8) if 10.0**-power >= low * 0.999]
    y = Scale(low, 1.0, True, "share of requests slower", share_text, decades)
    series = []
    for curve in curves:
        points = _points(curve.median_us, np.maximum(1.0 - _SHARES, _least_share(curve)))
        firm = int((curve.median_us[: curve.firm] > 0).sum())
        series.append(Series(curve.case, [Polyline(points[:firm]), Polyline(points[max(firm - 1, 0) :], "faint")]))
    x = log_scale([us for curve in curves for us in curve.median_us], "round-trip time")
    return Chart(x, y, series, f"Tail of the round-trip time on logarithmic scales, {where}", "beyond")


def _least_share(curve: Curve) -> float:
    """One request of a run of average length: nothing rarer than that was seen."""
    return curve.runs / max(curve.answered, 1)


def _points(times_us: Floats, shares: Floats) -> list[Point]:
    return [(float(us), float(share)) for us, share in zip(times_us, shares, strict=True) if us > 0]


def against_load(curves: LoadCurves, metrics: Sequence[str] = QUANTILES) -> dict[Factors, list[Chart]]:
    """A chart per metric for every combination of the other factors; metrics in microseconds share one scale."""
    times = [name for name in metrics if columns.metric(name).unit == "us"]
    scales = {name: _metric_scale(curves, times if name in times else [name]) for name in metrics}
    return {
        panel: [_load_chart(curves, panel, name, scale) for name, scale in scales.items()] for panel in curves.panels
    }


def _metric_scale(curves: LoadCurves, metrics: Sequence[str]) -> Scale:
    ends = [
        end
        for panel, lines in curves.panels.items()
        for case in lines
        for metric in metrics
        for _, estimate in curves.estimates(panel, case, metric)
        for end in reach(estimate)
    ]
    return value_scale(columns.metric(metrics[0]), ends)


def value_scale(column: Column, ends: Iterable[float]) -> Scale:
    """The axis of a metric that holds these values: times by their logarithm, anything else from zero."""
    name = words.named(column)
    return log_scale(ends, name, around=1.25) if column.unit == "us" else linear_scale([0.0, *ends], name, air=_AIR)


def reach(estimate: Estimate) -> list[float]:
    """The median of an estimate and the ends of its interval."""
    ends = [estimate.interval.low, estimate.interval.high] if estimate.interval else []
    return [*ends, estimate.median or 0.0]


def _load_chart(curves: LoadCurves, panel: Factors, metric: str, scale: Scale) -> Chart:
    factor, column = curves.axis, columns.metric(metric)
    quantile, unit = column.label.removeprefix("RTT "), column.unit.replace("us", "µs")
    name = f"{quantile} round-trip time" if column.unit == "us" else words.named(column)
    series = []
    for case in curves.panels[panel]:
        points, dots = [], []
        for at, estimate in curves.estimates(panel, case, metric):
            place = (at, estimate.median or 0.0)
            figures = f"{words.estimate(estimate)} {unit}, {estimate.n} runs"
            tip = f"{case} at {short_name(factor.name)} {tick_text(at)}: {quantile} {figures}"
            points.append(place)
            dots.append(Dot(place, up=estimate.interval, tip=tip, runs=estimate.n))
        if points:
            series.append(Series(case, [Polyline(points), *dots], points[::-1]))
    x, y = number_scale(factor.numbers.values(), factor.axis_name), replace(scale, name=name)
    return Chart(x, y, series, f"{name} against {factor.name}, {words.where(panel)}", "points")


def quantile_charts(cells: Sequence[CellView]) -> dict[Factors, Chart]:
    """p50, p99 and p99.9 of every case, one below the other, all on one logarithmic scale."""
    known = [(cell, _quantiles(cell)) for cell in cells if cell.median("rtt_p50_us")]
    x = log_scale([us for _, times in known for us in times], "round trip: p50, p99, p99.9")
    charts = {}
    for factors in dict.fromkeys(cell.factors for cell, _ in known):
        group = [(cell, times) for cell, times in known if cell.factors == factors]
        series = []
        for at, (cell, times) in enumerate(group[::-1]):
            line: list[ChartMark] = [Polyline([(us, float(at)) for us in times])]
            names = zip(times, _SPREAD, strict=False)
            dots = [
                Dot((us, float(at)), cell.estimates[name].interval, runs=cell.estimates[name].n) for us, name in names
            ]
            series.append(Series(cell.case, [*line, *dots]))
        y = names_scale([cell.case for cell, _ in group][::-1], "")
        charts[factors] = Chart(x, y, series[::-1], f"Quantiles by case, {words.where(factors)}", "points")
    return charts


def _quantiles(cell: CellView) -> list[float]:
    """The medians of p50, p99 and p99.9, as far as they are known."""
    return [*takewhile(bool, (cell.median(name) or 0.0 for name in _SPREAD))]


def number_scale(values: Iterable[float], name: str) -> Scale:
    """A scale for the numbers of a swept factor: logarithmic where they reach far, with a tick at each of a few."""
    numbers = sorted(set(values))
    wide = len(numbers) > 2 and numbers[0] > 0 and numbers[-1] / numbers[0] > _WIDE
    scale = (
        log_scale(numbers, name, tick_text, around=1.02, air=_AIR) if wide else linear_scale(numbers, name, air=_AIR)
    )
    crowded = any(scale.share(after) - scale.share(before) < 0.092 for before, after in pairwise(numbers))
    return scale if crowded or len(numbers) > 6 else replace(scale, fixed=numbers)


def cost_charts(trades: Mapping[Factors, Sequence[Trade]]) -> dict[Factors, Chart]:
    """A chart for every combination of factors, all on the same scales."""
    everyone = [trade for group in trades.values() for trade in group]
    column = columns.metric(everyone[0].metric)
    in_time = column.unit == "us"
    x = log_scale(
        [end for trade in everyone for end in reach(trade.cost)],
        column.label,
        time_text if in_time else words.short,
        around=1.3,
    )
    y = log_scale([end for trade in everyone for end in reach(trade.gain)], "p99 round-trip time", around=1.3)
    return {factors: _cost_chart(words.where(factors), group, x, y) for factors, group in trades.items()}


def _cost_chart(where: str, group: Sequence[Trade], x: Scale, y: Scale) -> Chart:
    best = [_place(trade) for trade in group if trade.best]
    steps = best[:1]
    for before, after in pairwise(best):
        steps += [(after[0], before[1]), after]
    series = [Series("", [Polyline(steps, "frontier")])]
    for trade in group:
        unbeaten = "; no case is cheaper and faster" if trade.best else ""
        tip = (
            f"{trade.case}: {cost_name(trade)} {words.estimate(trade.cost)}, "
            f"p99 {words.estimate(trade.gain)} µs{unbeaten}"
        )
        dot = Dot(_place(trade), trade.cost.interval, trade.gain.interval, tip, 5.0, trade.gain.n)
        series.append(Series(trade.case, [dot], [_place(trade)]))
    return Chart(x, y, series, f"{x.name} against p99, {where}; lower left is better", "points")


def _place(trade: Trade) -> Point:
    return trade.cost.median or 0.0, trade.gain.median or 0.0


def cost_name(trade: Trade) -> str:
    """What the cost is called, with its unit where it is a time."""
    column = columns.metric(trade.metric)
    return f"{column.label}, µs" if column.unit == "us" else column.label


def time_series(shown: Sequence[tuple[str, str, Timeline]]) -> list[Chart]:
    """A strip for each run (case, title, series), all on the same scales so that they can be compared by eye."""
    x, y = time_scales(series for _, _, series in shown)
    return [_strip(case, title, series, x, y) for case, title, series in shown]


def time_scales(series: Iterable[Timeline]) -> tuple[Scale, Scale]:
    """Scales of time and of round trips that hold all of these series."""
    times, longest = [], 0.0
    for run in series:
        times += [*map(float, run.p50_us), *map(float, run.max_us)]
        longest = max(longest, run.slice_s * len(run.p50_us))
    x = Scale(0.0, longest or 1.0, False, "time since the measurement began, s")
    return x, log_scale(times, "round trip", around=1.3, air=0.08)


def _strip(case: str, title: str, series: Timeline, x: Scale, y: Scale) -> Chart:
    at = [(place + 0.5) * series.slice_s for place in range(len(series.p50_us))]
    medians, tops = [float(us) for us in series.p50_us], [float(us) for us in series.max_us]
    lost = int(series.lost.sum())
    marks: list[ChartMark] = [
        Needles([(t, low, high) for t, low, high in zip(at, medians, tops, strict=True) if high > low > 0]),
        Polyline([(t, us) for t, us in zip(at, medians, strict=True) if us > 0], "thin"),
        Losses([t for t, count in zip(at, series.lost, strict=True) if count]),
    ]
    label = f"Time series of {title}: no request was answered"
    if any(us > 0 for us in tops):
        longest = max(range(len(tops)), key=lambda place: (tops[place] > 0, tops[place], -place))
        marks.append(Peak((at[longest], tops[longest]), f"longest {words.time(tops[longest])}"))
        gone = f"; {lost:,} requests lost" if lost else ""
        label = (
            f"Time series of {title}: longest round trip {words.time(tops[longest])} "
            f"at {longest * series.slice_s:.2f} s{gone}"
        )
    return Chart(x, y, [Series(case, marks)], label, strip=True)
