"""The heat map as tables, one for each figure, coloured by what was shown and not by how numbers happen to differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness import columns
from harness.analysis.curves import HeatMap
from harness.analysis.curves.factors import short_name
from harness.analysis.summary import Overview
from harness.report import words
from harness.report.charts.heat import Field, fields
from harness.report.html.markup import Child, Markup, flag, scroller, tag, td, th
from harness.report.html.style import Look, times
from harness.stats import Estimate

STEPS = 9
"""Colours of a grid of plain numbers."""


def heat_tables(look: Look, heat: HeatMap, view: Overview) -> Markup:
    """A table per metric, one shown at a time; p99 first."""
    chosen = "rtt_p99_us" if "rtt_p99_us" in heat.metrics else heat.metrics[0]
    buttons = [
        tag("button", columns.metric(name).label, type="button", aria_pressed=flag(name == chosen), data_heat=name)
        for name in heat.metrics
    ]
    tables = [
        tag("div", _heat(look, heat, name, view), data_heat_of=name, hidden=name != chosen) for name in heat.metrics
    ]
    label = "Which figure the colours show"
    tabs = tag("div", *buttons, class_="controls needs-script", role="group", aria_label=label)
    return tag("div", tabs, *tables, class_="heat")


def _heat(look: Look, heat: HeatMap, metric: str, view: Overview) -> Markup:
    drawn = fields(heat, metric, view.cells, view.baseline)
    names = list(dict.fromkeys(name for _, factors in heat.rows for name, _ in factors))
    heads = [th("case")]
    heads += [tag("th", short_name(name), scope="col", title=name) for name in names]
    body = []
    for row, (case, factors) in enumerate(heat.rows):
        parts: list[Child] = [tag("th", look.name(case), scope="row")]
        parts += [td(dict(factors).get(name, "")) for name in names]
        parts += [_field(drawn.get((row, at))) for at in range(len(heat.values))]
        body.append(tag("tr", *parts, data_k=look.marks[case].slot, class_="k"))
    caption = f"Median {words.named(columns.metric(metric))}, by {heat.factor}"
    return coloured(caption, heads, heat.factor, heat.values, body)


def _field(field: Field | None) -> Markup:
    if field is None:
        return td(words.BLANK, "num none")
    small = tag("small", tag("br"), times(field.text)) if field.text else None
    colour = "flat" if not field.strength else f"{'better' if field.strength > 0 else 'worse'}{abs(field.strength)}"
    return tag("td", words.short(field.median), small, class_=f"num {colour}")


def coloured(
    caption: str, heads: Sequence[Markup], factor: str, values: Sequence[str], body: Sequence[Markup]
) -> Markup:
    """A table of colours: the heads of its first columns, then the values of a factor, under the factor's name."""
    title = tag("th", factor, scope="colgroup", colspan=len(values), class_="over")
    over = tag("tr", *(tag("td") for _ in heads), title)
    row = tag("tr", *heads, *(th(value, numeric=True) for value in values))
    parts = (tag("caption", caption), tag("thead", over, row), tag("tbody", *body))
    return scroller(tag("table", *parts, class_="heatmap"), caption)


def step(value: float, estimates: Sequence[Estimate]) -> int:
    """Which of the STEPS colours of a grid of plain numbers: by logarithm from its least to its greatest median.

    The palest where the least and the greatest do not differ by more than their intervals: noise has no colour.
    """
    known = sorted((one for one in estimates if one.median), key=lambda one: one.median or 0.0)
    if not known or value <= 0:
        return 0
    least, most = known[0], known[-1]
    low, high = least.median or 0.0, most.median or 0.0
    apart = not (least.interval and most.interval) or least.interval.high < most.interval.low
    if low <= 0 or high <= low or not apart:
        return 0
    return min(int(math.log(value / low) / math.log(high / low) * STEPS), STEPS - 1)
