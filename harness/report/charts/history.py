"""A metric over its sets as a chart: a dot a set, a line for each level, the cells of one metric in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from harness import columns
from harness.analysis.trend import History
from harness.report import words
from harness.report.charts import Chart, ChartMark, Dot, Polyline, Series
from harness.report.charts.kinds import value_scale
from harness.report.charts.scale import Scale

_TICKS = 4


def edges(history: History) -> list[tuple[int, int]]:
    """First moment and the one after the last, of every level of a history."""
    return list(pairwise([0, *(shift.at for shift in history.shifts), len(history.moments)]))


def level(history: History, start: int, end: int) -> float:
    """The median of a history's moments."""
    return float(np.median([moment.value for moment in history.moments[start:end]]))


def history_chart(histories: Sequence[History], where: str) -> Chart:
    """The histories of one metric and one combination of factors, each a case, over the sets they have."""
    column = columns.metric(histories[0].metric)
    longest = max(histories, key=lambda history: len(history.moments))
    places = {(moment.begun, moment.label): float(at) for at, moment in enumerate(longest.moments)}
    values = [moment.value for history in histories for moment in history.moments]
    series = []
    for history in histories:
        at = [places.get((moment.begun, moment.label), float(place)) for place, moment in enumerate(history.moments)]
        dots = [
            Dot(
                (place, moment.value),
                tip=f"{history.case}, {moment.label}: {words.short(moment.value)} {column.unit}, "
                f"{words.runs(moment.runs)} of {moment.origin}".replace("us,", "µs,"),
                size=2.6,
                runs=moment.runs,
            )
            for place, moment in zip(at, history.moments, strict=True)
        ]
        lines: list[ChartMark] = []
        for start, end in edges(history):
            middle = level(history, start, end)
            lines.append(Polyline([(at[start], middle), (at[end - 1], middle)]))
        series.append(Series(history.case, [*lines, *dots], [dot.at for dot in dots[::-1]]))
    return Chart(_sets_scale(longest), value_scale(column, values), series, f"{column.label}, {where}", "points")


def _sets_scale(history: History) -> Scale:
    """An axis of the sets' labels, of which a few are written."""
    last = len(history.moments) - 1
    ticks = [float(round(share * last / (_TICKS - 1))) for share in range(_TICKS)]
    labels = [history.moments[round(tick)].label for tick in ticks]
    by_time = all(moment.label == moment.begun[:16].replace("T", " ") for moment in history.moments)
    # Of several sets of a day the time tells which.
    part = slice(5, 16) if by_time and len({label[:10] for label in labels}) < len(set(labels)) else slice(10)

    def text(place: float) -> str:
        return history.moments[round(place)].label[part]

    return Scale(0.0, float(max(last, 1)), False, "set", text, list(dict.fromkeys(ticks)), air=0.03)
