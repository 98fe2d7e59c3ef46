"""CPU cost against tail latency: a point per case, and the line of those that no other case beats on both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from harness import columns
from harness.analysis.compare import Factors
from harness.analysis.curves import Trade
from harness.report import words
from harness.report.html.frame import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axes, figure, path, svg, table
from harness.report.html.labels import Labels
from harness.report.html.markup import Child, Markup, tag
from harness.report.html.scale import log_scale, time_text
from harness.report.html.style import Look, where
from harness.stats import Estimate


def common_axes(found: Mapping[Factors, Sequence[Trade]]) -> Axes:
    """Scales that hold the trades under every combination of factors."""
    everyone = [trade for group in found.values() for trade in group]
    x = log_scale(_reach(trade.cost for trade in everyone), LEFT, WIDTH - RIGHT, around=1.3)
    y = log_scale(_reach(trade.gain for trade in everyone), HEIGHT - BOTTOM, TOP, around=1.3)
    cost = columns.metric(everyone[0].metric)
    in_time = cost.unit == "us"
    name = "CPU time per request" if in_time else cost.label
    return Axes(x, y, name, "p99 round-trip time", time_text if in_time else words.short, time_text)


def _reach(estimates: Iterable[Estimate]) -> list[float]:
    found: list[float] = []
    for estimate in estimates:
        found.append(estimate.median or 0.0)
        if estimate.interval:
            found += [estimate.interval.low, estimate.interval.high]
    return found


def panel(look: Look, axes: Axes, factors: Factors, group: Sequence[Trade]) -> Markup:
    """The chart of one combination of factors."""
    places = [(axes.x.at(trade.cost.median or 0), axes.y.at(trade.gain.median or 0)) for trade in group]
    best = [place for trade, place in zip(group, places, strict=True) if trade.best]
    steps = [best[0]] if best else []
    for before, after in pairwise(best):
        steps += [(after[0], before[1]), after]
    whiskers = [_ends(axes, trade, *place) for trade, place in zip(group, places, strict=True)]
    room = Labels([steps, *(line for lines in whiskers for line in lines)], HEIGHT - BOTTOM)
    for x, y in places:
        room.take((x - 6, y - 6, x + 6, y + 6))
    groups = []
    for trade, (x, y) in zip(group, places, strict=True):
        groups.append(
            look.group(
                trade.case,
                tag(
                    "g",
                    *(path(line, "whisker") for line in _ends(axes, trade, x, y)),
                    look.marker(trade.case, x, y, 5.0),
                    class_="pt",
                    data_tip=_told(trade),
                ),
                room.place(trade.case, [(x + 2, y), (x - 2, y)], "direct"),
            )
        )  # fmt: skip
    chart = svg(
        axes, path(steps, "frontier"), *groups, data={"kind": "points"},
        label=f"{axes.x_name} against p99, {where(factors)}; lower left is better",
    )  # fmt: skip
    return figure(where(factors), chart, table=_numbers(group))


def _ends(axes: Axes, trade: Trade, x: float, y: float) -> list[list[tuple[float, float]]]:
    """The intervals of both figures as lines."""
    found = []
    if trade.cost.interval:
        found.append([(axes.x.at(trade.cost.interval.low), y), (axes.x.at(trade.cost.interval.high), y)])
    if trade.gain.interval:
        found.append([(x, axes.y.at(trade.gain.interval.low)), (x, axes.y.at(trade.gain.interval.high))])
    return found


def _told(trade: Trade) -> str:
    best = "; no case is cheaper and faster" if trade.best else ""
    return f"{trade.case}: {_cost(trade)} {said(trade.cost)}, p99 {said(trade.gain)} µs{best}"


def _cost(trade: Trade) -> str:
    column = columns.metric(trade.metric)
    return f"{column.label}, µs" if column.unit == "us" else column.label


def said(found: Estimate) -> str:
    """An estimate with its interval."""
    return f"{words.short(found.median)} {words.bracket(found.interval, gap=' – ')}".strip()


def _numbers(group: Sequence[Trade]) -> Markup:
    heads = ["case", _cost(group[0]), "interval", "p99, µs", "interval", "unbeaten"]
    rows: list[list[Child]] = [
        [
            trade.case,
            words.short(trade.cost.median),
            words.bracket(trade.cost.interval, gap=" – "),
            words.short(trade.gain.median),
            words.bracket(trade.gain.interval, gap=" – "),
            "yes" if trade.best else "no",
        ]
        for trade in group
    ]
    return table(heads, rows)
