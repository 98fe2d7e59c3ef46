"""The chart of CPU cost against tail latency, with the line of those cases that no other beats on both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from harness import columns
from harness.analysis.compare import Factors
from harness.analysis.curves import Trade
from harness.report import words
from harness.report.charts.latency import reach
from harness.report.charts.model import Chart, Dot, Point, Polyline, Series
from harness.report.charts.scale import Scale, log_scale, time_text


def cost_charts(trades: Mapping[Factors, Sequence[Trade]]) -> dict[Factors, Chart]:
    """A chart for every combination of factors, all on the same scales."""
    everyone = [trade for group in trades.values() for trade in group]
    column = columns.metric(everyone[0].metric)
    in_time = column.unit == "us"
    x = log_scale(
        [end for trade in everyone for end in reach(trade.cost)],
        "CPU time per request" if in_time else column.label,
        time_text if in_time else words.short,
        around=1.3,
    )
    y = log_scale([end for trade in everyone for end in reach(trade.gain)], "p99 round-trip time", around=1.3)
    return {factors: _chart(words.where(factors), group, x, y) for factors, group in trades.items()}


def _chart(where: str, group: Sequence[Trade], x: Scale, y: Scale) -> Chart:
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
        dot = Dot(_place(trade), trade.cost.interval, trade.gain.interval, tip, 5.0)
        series.append(Series(trade.case, [dot], [_place(trade)]))
    return Chart(x, y, series, f"{x.name} against p99, {where}; lower left is better", "points")


def _place(trade: Trade) -> Point:
    return trade.cost.median or 0.0, trade.gain.median or 0.0


def cost_name(trade: Trade) -> str:
    """What the cost is called, with its unit where it is a time."""
    column = columns.metric(trade.metric)
    return f"{column.label}, µs" if column.unit == "us" else column.label
