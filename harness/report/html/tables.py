"""The tables of a set: all cells, what became of every knob, where a request's time goes, contention as colours."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from harness import columns, stats
from harness.analysis.compare import Factors
from harness.analysis.curves import HeatMap
from harness.analysis.curves.factors import short_name
from harness.analysis.summary import COSTS, CellView, Overview, cost_of
from harness.report import words
from harness.report.html.markup import Child, Markup, flag, grid, join, scroller, tag, td, th
from harness.report.html.style import Look, change_badge
from harness.tables.cells import SummaryCell

STEPS = 9
"""Colours of a heat map."""

_LEAST_FACTOR = 1.15
_NOTHING = (td("", "num"), td("", "num quiet"), td(words.BLANK, "num"))
_HEADS = ("case", "setting", "node", "requested", "found before", "applied", "took effect", "evidence")
_NUMERIC = _HEADS[3:6]
_DETAIL = re.compile(r"\d+(\.\d+)?")
_PHASE = re.compile(r"phase_(?P<name>.+?)(?:_(?P<of>p[0-9_]+|mean|median))?_us")
_SUMS = ("sum", "total", "all")


def summary(look: Look, view: Overview) -> Markup | None:
    """Every cell in one table; None when the set has none."""
    if not view.cells:
        return None
    against = f"p50 vs {view.baseline}" if view.baseline else ""
    cost_head = f"{'process ' if cost_of(view.cells) == COSTS[1] else ''}CPU µs / request"
    heads = ["case", "valid", "p50, µs", "interval", against, "p99, µs", "interval"]
    heads += ["p99.9, µs", "requests / s", cost_head, "polled, %"]
    rows = [_cell_fields(look, view, cell) for cell in view.cells]
    kept = [at for at, head in enumerate(heads) if head and any(row[at] not in _NOTHING for row in rows)]
    bodies: dict[Factors, list[Markup]] = {}
    for cell, row in zip(view.cells, rows, strict=True):
        title = tag("th", words.where(cell.factors), colspan=len(kept), scope="rowgroup", class_="group")
        body = bodies.setdefault(cell.factors, [tag("tr", title)] if cell.factors else [])
        body.append(tag("tr", *(row[at] for at in kept), class_="k", data_k=look.marks[cell.case].slot))
    said = "Median over the valid runs of each cell; in brackets, over its inert runs, where it has no others"
    head = [th(heads[at], numeric=at not in (0, 4)) for at in kept]
    return grid(head, *bodies.values(), label="all cells", caption=tag("caption", said, class_="sr"))


def _cell_fields(look: Look, view: Overview, cell: CellView) -> list[Markup]:
    valid, total = cell.verdicts["valid"], max(cell.planned, cell.total)

    def with_interval(name: str) -> tuple[Markup, Markup]:
        estimate = cell.estimates.get(name)
        inert = cell.inert.get(name) if cell.note else None
        if inert is not None and inert.median is not None:
            return td(f"({words.short(inert.median)})", "num quiet"), td("inert", "num quiet")
        between = words.bracket(estimate.interval if estimate else None, gap=" – ")
        return td(tag("strong", words.short(cell.median(name))), "num"), td(between, "num quiet")

    polled = " / ".join(words.percent(cell.median(f"{end}_polled_percent")) for end in ("client", "server"))
    reference = tag("span", "baseline", class_="quiet") if cell.case == view.baseline else None
    return [
        tag("th", look.name(cell.case), scope="row"),
        td(f"{valid} of {total}", "num" if valid == total else "num short"),
        *with_interval("rtt_p50_us"),
        td(change_badge(cell.changes.get("rtt_p50_us")) or cell.note or reference),
        *with_interval("rtt_p99_us"),
        *(td(words.short(cell.median(name)), "num") for name in ("rtt_p99_9_us", "rate_rps", cost_of(view.cells))),
        td("" if polled == "- / -" else polled, "num"),
    ]


def knob_table(look: Look, knobs: pd.DataFrame) -> Markup:
    """A row per case, setting and requested value; nodes of which all the same is known share one."""
    rows: dict[tuple[str, ...], list[Child]] = {}
    nodes: dict[tuple[str, ...], list[str]] = {}
    for key, group in knobs.groupby(["case", "knob", "setting", "node", "requested"], sort=False):
        case, knob, setting, node, requested = map(str, key)
        if case not in look.marks:
            continue
        before, applied, took = (_values(group["found"]), _values(group["applied"]), _took(group["took_effect"]))
        alike = (case, knob, setting, requested, before, applied, took)
        nodes.setdefault(alike, []).append(node)
        rows.setdefault(alike, [_applied(applied, requested), tag("td", took), _evidence(group["evidence"])])
    return grid(
        [th(name, numeric=name in _NUMERIC) for name in _HEADS],
        [_knob_row(look, alike, nodes[alike], rest) for alike, rest in rows.items()],
        label="what was requested, applied, and took effect",
        caption=tag("caption", "Knobs by case", class_="sr"),
    )


def _knob_row(look: Look, alike: tuple[str, ...], nodes: list[str], rest: list[Child]) -> Markup:
    case, knob, setting, requested, before = alike[:5]
    fields = (td(join((setting, tag("span", f" {knob}", class_="quiet")))), td(", ".join(nodes)))
    values = (td(requested, "num"), td(before, "num quiet"))
    case_head = tag("th", look.dotted(case), scope="row")
    return tag("tr", case_head, *fields, *values, *rest, class_="k", data_k=look.marks[case].slot)


def _applied(applied: str, requested: str) -> Markup:
    doubtful = requested != "" and applied not in ("", requested)
    return td(applied or "not shown", "num short" if doubtful else "num" if applied else "num quiet")


def _values(column: pd.Series) -> str:
    return words.some((str(value) for value in column.unique() if str(value)), 3)


def _took(column: pd.Series) -> Markup:
    """How many runs took effect, took none, and could not be seen to."""
    yes, no = int((column == True).fillna(False).sum()), int((column == False).fillna(False).sum())  # noqa: E712
    kinds = (("✓ yes", yes, "valid"), ("○ no", no, "inert"), ("not observable", len(column) - yes - no, "none"))
    return join(tag("span", f"{text}, {words.runs(n)}", class_=f"badge {kind}") for text, n, kind in kinds if n)


def _evidence(column: pd.Series) -> Markup:
    """The first run's words; others that differ in more than numbers are counted."""
    texts = [str(value) for value in column if str(value)]
    kinds = dict.fromkeys(_DETAIL.sub("#", value) for value in texts)
    more = f" (and {len(kinds) - 1} other findings)" if len(kinds) > 1 else ""
    return tag("td", (texts[0] if texts else "") + more, class_="why")


def phase_columns(runs: pd.DataFrame) -> dict[str, str]:
    """The columns that hold a phase's time, with the phase's name; where several quantiles are there, the median's."""
    by_part: dict[str, dict[str, str]] = {}
    for column in map(str, runs.columns):
        match = _PHASE.fullmatch(column)
        if match and match["name"] not in _SUMS and runs[column].notna().any():
            by_part.setdefault(match["of"] or "", {})[column] = match["name"].replace("_", " ")
    for of in ("p50", "median", "", "mean"):
        if of in by_part:
            return by_part[of]
    return next(iter(by_part.values()), {})


def phase_groups(runs: pd.DataFrame, cells: Sequence[SummaryCell]) -> dict[Factors, list[SummaryCell]]:
    """The cells that have valid runs, by their factors; empty when no phase was measured."""
    groups: dict[Factors, list[SummaryCell]] = {}
    for cell in cells if phase_columns(runs) else ():
        if cell.valid.size:
            groups.setdefault(cell.factors, []).append(cell)
    return groups


def phase_table(look: Look, runs: pd.DataFrame, factors: Factors, cells: list[SummaryCell]) -> Markup:
    """Phases down, the cases of one combination of factors across, a bar in every field."""
    names = phase_columns(runs)
    medians = {
        (column, cell.case): stats.median(runs[column].to_numpy(dtype=np.float64)[cell.valid])
        for column in names
        for cell in cells
    }
    most = max((value for value in medians.values() if value), default=1.0)
    head = [th("phase"), *(th(look.name(cell.case)) for cell in cells)]
    rows = []
    for column, name in names.items():
        fields = [_bar(look, cell.case, medians[column, cell.case], most) for cell in cells]
        rows.append(tag("tr", tag("th", name, scope="row", title=column), *fields))
    caption = f"Median time in each phase, µs, {words.where(factors)}"
    return grid(head, rows, label=caption, caption=tag("caption", caption), class_="phases")


def _bar(look: Look, case: str, value: float | None, most: float) -> Markup:
    slot = look.marks[case].slot
    if value is None:
        return tag("td", words.BLANK, data_k=slot, class_="k")
    width = f"width:{max(100 * value / most, 0.5):.1f}%"
    bar = tag("span", tag("i", style=width), class_=f"bar c{slot}", aria_hidden="true")
    return tag("td", tag("span", words.short(value), class_="num"), bar, data_k=slot, class_="k")


def heat_tables(look: Look, heat: HeatMap) -> Markup:
    """A table per metric, one shown at a time; p99 first."""
    chosen = "rtt_p99_us" if "rtt_p99_us" in heat.metrics else heat.metrics[0]
    buttons = [
        tag("button", columns.metric(name).label, type="button", aria_pressed=flag(name == chosen), data_heat=name)
        for name in heat.metrics
    ]
    tables = [tag("div", _heat(look, heat, name), data_heat_of=name, hidden=name != chosen) for name in heat.metrics]
    label = "Which figure the colours show"
    tabs = tag("div", *buttons, class_="controls needs-script", role="group", aria_label=label)
    return tag("div", tabs, *tables, class_="heat")


def _heat(look: Look, heat: HeatMap, metric: str) -> Markup:
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
        fields += [_heat_field(medians.get((row, at)), low, high) for at in range(len(heat.values))]
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


def _heat_field(value: float | None, low: float, high: float) -> Markup:
    if value is None:
        return td(words.BLANK, "num none")
    return td(words.short(value), f"num h{step(value, low, high)}")


def step(value: float, low: float, high: float) -> int:
    """Which of the STEPS colours: by logarithm from the least to the greatest; all alike where they hardly differ."""
    if value <= 0 or low <= 0 or high / low < _LEAST_FACTOR:
        return 0
    return min(int(math.log(value / low) / math.log(high / low) * STEPS), STEPS - 1)
