"""The contention heat map as a table that is coloured: readable by eye, by ear, and on a phone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness import columns
from harness.analysis.curves import HeatMap
from harness.analysis.curves.factors import short_name
from harness.report import words
from harness.report.html.frame import scroller, td, th
from harness.report.html.markup import Child, Markup, tag
from harness.report.html.style import Look

STEPS = 9
_LEAST_FACTOR = 1.15


def heat_tables(look: Look, heat: HeatMap) -> Markup:
    """A table per metric, one shown at a time; p99 first."""
    chosen = "rtt_p99_us" if "rtt_p99_us" in heat.metrics else heat.metrics[0]
    buttons = [
        tag("button", columns.metric(name).label, type="button", aria_pressed=_flag(name == chosen), data_heat=name)
        for name in heat.metrics
    ]
    tables = [tag("div", _table(look, heat, name), data_heat_of=name, hidden=name != chosen) for name in heat.metrics]
    label = "Which figure the colours show"
    tabs = tag("div", *buttons, class_="controls needs-script", role="group", aria_label=label)
    return tag("div", tabs, *tables, class_="heat")


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _table(look: Look, heat: HeatMap, metric: str) -> Markup:
    medians = {
        (row, at): median
        for row in heat.rows
        for at in range(len(heat.values))
        if (median := heat.median(row, at, metric)) is not None
    }
    low, high = (min(medians.values()), max(medians.values())) if medians else (1.0, 1.0)
    names = list(dict.fromkeys(name for _, factors in heat.rows for name, _ in factors))
    heads = [th("case")]
    heads += [tag("th", short_name(name), scope="col", title=name) for name in names]
    body = []
    for row in heat.rows:
        case, factors = row
        fields: list[Child] = [tag("th", look.name(case), scope="row")]
        fields += [td(dict(factors).get(name, "")) for name in names]
        fields += [_field(medians.get((row, at)), low, high) for at in range(len(heat.values))]
        body.append(tag("tr", *fields, data_k=look.marks[case].slot, class_="k"))
    caption = f"Median {words.named(columns.metric(metric))}, by {heat.factor}"
    return coloured(caption, heads, heat.factor, heat.values, body)


def coloured(
    caption: str, heads: Sequence[Markup], factor: str, values: Sequence[str], body: Sequence[Markup]
) -> Markup:
    """A table of colours: the heads of its first columns, then the values of a factor, under the factor's name."""
    title = tag("th", factor, scope="colgroup", colspan=len(values), class_="over")
    over = tag("tr", *(tag("td") for _ in heads), title)
    row = tag("tr", *heads, *(th(value, numeric=True) for value in values))
    parts = (tag("caption", caption), tag("thead", over, row), tag("tbody", *body))
    return scroller(tag("table", *parts, class_="heatmap"), caption)


def _field(value: float | None, low: float, high: float) -> Markup:
    if value is None:
        return td(words.BLANK, "num none")
    return td(words.short(value), f"num h{step(value, low, high)}")


def step(value: float, low: float, high: float) -> int:
    """Which of the STEPS colours: by logarithm from the least to the greatest; all alike where they hardly differ."""
    if value <= 0 or low <= 0 or high / low < _LEAST_FACTOR:
        return 0
    return min(int(math.log(value / low) / math.log(high / low) * STEPS), STEPS - 1)
