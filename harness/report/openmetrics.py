"""Histories as OpenMetrics text: a gauge for each metric and cell, with its interval and when its set was begun."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from harness import columns
from harness.analysis.compare import Factors
from harness.analysis.trend import History, Moment
from harness.tables.csvout import number

_NO_NAME = re.compile(r"[^a-zA-Z0-9_]")


def openmetrics(histories: Sequence[History], common: Factors) -> str:
    """The text, with the labels that are common to all histories; ends with its own mark of the end.

    estimate: median over the runs that count, and low and high ends of its interval; runs: how many these are.
    """
    lines = []
    for metric in dict.fromkeys(history.metric for history in histories):
        column = columns.metric(metric)
        name = f"pollbench_{_name(metric)}"
        label = column.label or metric
        lines += [f"# HELP {name} {_escaped(label)}, median over the runs that count", f"# TYPE {name} gauge"]
        unit = metric.rpartition("_")[2]
        if unit == column.unit:
            lines.append(f"# UNIT {name} {unit}")
        for history in histories:
            if history.metric == metric:
                lines += _series(name, history, common)
    return "\n".join([*lines, "# EOF"]) + "\n"


def _series(name: str, history: History, common: Factors) -> Iterator[str]:
    """A series after the other, each in the order of time."""
    labels = {"case": history.case} | {_name(key): value for key, value in (*common, *history.factors) if value}
    for part in ("median", "low", "high"):
        own = ",".join(f'{key}="{_escaped(value)}"' for key, value in (labels | {"estimate": part}).items())
        stamped: dict[str, float] = {}
        for moment in history.moments:
            value = _estimate(moment, part)
            if value is not None:
                # Of two sets of one second the later one.
                stamped[_timestamp(moment)] = value
        yield from (f"{name}{{{own}}} {number(value)}{time}" for time, value in stamped.items())


def _estimate(moment: Moment, part: str) -> float | None:
    if part == "median":
        return moment.value
    return None if moment.interval is None else moment.interval.low if part == "low" else moment.interval.high


def _timestamp(moment: Moment) -> str:
    try:
        return f" {int(datetime.fromisoformat(moment.begun).astimezone(UTC).timestamp())}"
    except ValueError:
        return ""


def _name(text: str) -> str:
    """A name of a metric or label: letters, digits and underscores."""
    plain = _NO_NAME.sub("_", text)
    return f"_{plain}" if plain[:1].isdigit() else plain


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
