"""Latency distributions: share of requests answered within a time, and the tail on a logarithmic scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.analysis.compare import Factors
from harness.analysis.curves import Curve
from harness.analysis.curves.reduce import GRID, MILLION
from harness.report import words
from harness.report.html.frame import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axes,
    band,
    figure,
    path,
    scale_data,
    svg,
    table,
)
from harness.report.html.labels import Labels
from harness.report.html.markup import Child, Markup, tag
from harness.report.html.scale import Scale, log_scale, time_text
from harness.report.html.style import Look, where

Points = list[tuple[float, float]]

_SHARES = GRID / MILLION
_QUOTED = (("p50", 500_000), ("p90", 900_000), ("p99", 990_000), ("p99.9", 999_000), ("p99.99", 999_900))
_BESIDE = (0.5, 0.65, 0.35, 0.8, 0.2, 0.9, 0.1)
_STRAIGHT = 0.35


def panel(look: Look, factors: Factors, drawn: Sequence[Curve]) -> Markup:
    """Both charts of one combination of factors, with their quantiles as a table."""
    pair = tag("div", _body(look, factors, drawn), _tail(look, factors, drawn), class_="pair")
    return figure(where(factors).capitalize() if not factors else where(factors), pair, table=_numbers(drawn))


def _body(look: Look, factors: Factors, drawn: Sequence[Curve]) -> Markup:
    last = int(np.searchsorted(GRID, 995_000))
    shown = [
        value for curve in drawn for value in (*curve.low_us[:last], *curve.median_us[:last]) if value > 0
    ]
    x = log_scale(shown, LEFT, WIDTH - RIGHT)
    y = Scale(0.0, 1.0, HEIGHT - BOTTOM, TOP, False)
    axes = Axes(
        x, y, "round-trip time", "share of requests answered", time_text, lambda share: f"{share * 100:g} %"
    )
    lines = [(curve, _points(axes, curve.median_us, _SHARES)) for curve in drawn]
    groups = [
        look.group(
            curve.case,
            band(_points(axes, curve.low_us, _SHARES), _points(axes, curve.high_us, _SHARES)),
            path(_thinned(points), "line", look.dash(curve.case)),
        )
        for curve, points in lines
    ]
    return svg(
        axes, *groups, *_names(look, lines), label=f"Distribution of the round-trip time, {where(factors)}",
        data={"kind": "curve", "read": "share", **scale_data(axes)},
    )  # fmt: skip


def _tail(look: Look, factors: Factors, drawn: Sequence[Curve]) -> Markup:
    shown = [value for curve in drawn for value in curve.median_us if value > 0]
    deepest = min((_least_share(curve) for curve in drawn), default=1e-3)
    x = log_scale(shown, LEFT, WIDTH - RIGHT)
    y = Scale(min(deepest, 0.01), 1.0, HEIGHT - BOTTOM, TOP, True)
    decades = [10.0**-power for power in range(8) if 10.0**-power >= y.low * 0.999]
    axes = Axes(x, y, "round-trip time", "share of requests slower", time_text, _percent, y_ticks=decades)
    groups = []
    for curve in drawn:
        beyond = np.maximum(1.0 - _SHARES, _least_share(curve))
        points = _points(axes, curve.median_us, beyond)
        firm = sum(bool(value > 0) for value in curve.median_us[: curve.firm])
        groups.append(
            look.group(
                curve.case,
                path(_thinned(points[:firm]), "line", look.dash(curve.case)),
                path(_thinned(points[max(firm - 1, 0) :]), "line faint", "1 4"),
            )
        )
    return svg(
        axes, *groups, label=f"Tail of the round-trip time on logarithmic scales, {where(factors)}",
        data={"kind": "curve", "read": "beyond", **scale_data(axes)},
    )  # fmt: skip


def _least_share(curve: Curve) -> float:
    """One request of a run of average length: nothing rarer than that was seen."""
    return curve.runs / max(curve.answered, 1)


def _points(axes: Axes, values: np.ndarray, shares: np.ndarray) -> Points:
    return [
        (axes.x.at(float(value)), axes.y.at(float(share)))
        for value, share in zip(values, shares, strict=True)
        if value > 0
    ]


def _thinned(points: Points) -> Points:
    """The same line without the points that lie on it anyway, to a third of a pixel."""
    if len(points) < 3:
        return points
    kept = [points[0]]
    begin = 0
    for end in range(2, len(points)):
        (x1, y1), (x2, y2) = points[begin], points[end]
        long = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 1e-9)
        between = points[begin + 1 : end]
        if any(abs((x2 - x1) * (y1 - y) - (x1 - x) * (y2 - y1)) / long > _STRAIGHT for x, y in between):
            begin = end - 1
            kept.append(points[begin])
    return [*kept, points[-1]]


def _names(look: Look, lines: Sequence[tuple[Curve, Points]]) -> list[Child]:
    room = Labels([points for _, points in lines], HEIGHT - BOTTOM)
    found: list[Child] = []
    for curve, points in lines:
        anchors = [points[int(share * (len(points) - 1) * 0.55)] for share in _BESIDE] if points else []
        label = room.place(curve.case, anchors, "direct")
        found.append(look.group(curve.case, label) if label is not None else None)
    return found


def _percent(share: float) -> str:
    return f"{share * 100:.6f}".rstrip("0").rstrip(".") + " %"


def _numbers(drawn: Sequence[Curve]) -> Markup:
    heads = ["case", "runs", *(f"{name}, µs" for name, _ in _QUOTED), "max, µs", "requests", "lost"]
    rows: list[list[Child]] = []
    for curve in drawn:
        row: list[Child] = [curve.case, str(curve.runs)]
        for _, quantile in _QUOTED:
            at = int(np.searchsorted(GRID, quantile))
            row.append(_figure(curve.median_us[at]) if at < curve.firm else words.BLANK)
        rows.append([*row, _figure(curve.high_us[-1]), f"{curve.answered:,}", f"{curve.lost:,}"])
    return table(heads, rows, caption="Median over runs of each run's quantile; greatest of all runs")


def _figure(value: float) -> str:
    return words.short(float(value)) if value > 0 else words.BLANK
