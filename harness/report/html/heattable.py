"""The contention heat map as a table that is coloured: readable by eye, by ear, and on a phone."""

from __future__ import annotations

import math

from harness import columns
from harness.analysis.curves import HeatMap
from harness.analysis.curves.factors import short_name
from harness.report import words
from harness.report.html.frame import scroller
from harness.report.html.markup import Child, Markup, join, tag
from harness.report.html.style import Look

STEPS = 9
_LEAST_FACTOR = 1.15


def heat_tables(look: Look, found: HeatMap, preferred: str = "rtt_p99_us") -> Markup:
    """A table per metric, one shown at a time; the preferred one first."""
    chosen = preferred if preferred in found.metrics else found.metrics[0]
    buttons = [
        tag(
            "button",
            columns.metric(name).label,
            type="button",
            aria_pressed="true" if name == chosen else "false",
            data_heat=name,
        )
        for name in found.metrics
    ]
    tables = [
        tag("div", _table(look, found, name), data_heat_of=name, hidden=name != chosen)
        for name in found.metrics
    ]
    tabs = tag(
        "div",
        *buttons,
        class_="controls needs-script",
        role="group",
        aria_label="Which figure the colours show",
    )
    return tag("div", tabs, *tables, class_="heat")


def _table(look: Look, found: HeatMap, metric: str) -> Markup:
    column = columns.metric(metric)
    medians = {
        (row, at): (estimate.median or 0.0)
        for row in found.rows
        for at in range(len(found.values))
        if (estimate := found.estimate(row, at, metric))
    }
    low, high = (min(medians.values()), max(medians.values())) if medians else (1.0, 1.0)
    names = list(dict.fromkeys(name for _, factors in found.rows for name, _ in factors))
    heads = [
        tag("th", "case", scope="col"),
        *(tag("th", short_name(name), scope="col", title=name) for name in names),
    ]
    heads += [tag("th", value, scope="col", class_="num") for value in found.values]
    body = []
    for row in found.rows:
        case, factors = row
        fields: list[Child] = [tag("th", look.name(case), scope="row")]
        fields += [tag("td", dict(factors).get(name, "")) for name in names]
        fields += [_field(medians.get((row, at)), low, high) for at in range(len(found.values))]
        body.append(tag("tr", *fields, data_k=look.marks[case].slot, class_="k"))
    over = tag(
        "tr",
        *(tag("td") for _ in range(1 + len(names))),
        tag("th", found.factor, scope="colgroup", colspan=len(found.values), class_="over"),
    )
    unit = f", {column.unit.replace('us', 'µs')}" if column.unit else ""
    said = f"Median {column.label}{unit}, by {found.factor}"
    grid = tag(
        "table",
        tag("caption", said),
        tag("thead", over, tag("tr", *heads)),
        tag("tbody", join(body)),
        class_="heatmap",
    )
    return scroller(grid, said)


def _field(value: float | None, low: float, high: float) -> Markup:
    if value is None:
        return tag("td", words.BLANK, class_="num none")
    return tag("td", words.short(value), class_=f"num h{step(value, low, high)}")


def step(value: float, low: float, high: float) -> int:
    """Which of the STEPS colours: by logarithm from the least to the greatest; all alike where they hardly differ."""
    if value <= 0 or low <= 0 or high / low < _LEAST_FACTOR:
        return 0
    return min(int(math.log(value / low) / math.log(high / low) * STEPS), STEPS - 1)
