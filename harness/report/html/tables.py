"""The tables of a set: all cells, and where a request's time goes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from harness import stats
from harness.analysis.compare import Factors
from harness.analysis.summary import COSTS, CellView, Overview, cost_of
from harness.report import words
from harness.report.html.markup import Markup, grid, tag, td, th
from harness.report.html.outcomes import badge, outcome
from harness.report.html.style import Look, change_badge
from harness.tables.cells import SummaryCell

_NOTHING = (td(""), td("", "num"), td("", "num quiet"), td(words.BLANK, "num"))
_PHASE = re.compile(r"phase_(?P<name>.+?)(?:_(?P<of>p[0-9_]+|mean|median))?_us")
_SUMS = ("sum", "total", "all")


def summary(look: Look, view: Overview, workload: str = "") -> Markup | None:
    """Every cell in one table; None when the set has none. workload: the figures of one measured beside the first."""
    if not view.cells:
        return None
    against = f"p50 vs {view.baseline}" if view.baseline else ""
    cost_head = f"{'process ' if workload or cost_of(view.cells) == COSTS[1] else ''}CPU µs / request"
    heads = ["verdict" if view.baseline else "", "case", "valid", "p50, µs", "interval", against, "p99, µs", "interval"]
    heads += ["p99.9, µs", "requests / s", cost_head, "polled, %"]
    rows = [_cell_fields(look, view, cell, f"{workload}_" if workload else "") for cell in view.cells]
    kept = [at for at, head in enumerate(heads) if head and any(row[at] not in _NOTHING for row in rows)]
    bodies: dict[Factors, list[Markup]] = {}
    for cell, row in zip(view.cells, rows, strict=True):
        title = tag("th", words.where(cell.factors), colspan=len(kept), scope="rowgroup", class_="group")
        body = bodies.setdefault(cell.factors, [tag("tr", title)] if cell.factors else [])
        body.append(tag("tr", *(row[at] for at in kept), class_="k", data_k=look.marks[cell.case].slot))
    said = "Median over the valid runs of each cell; in brackets, over its inert runs, where it has no others"
    head = [th(heads[at], numeric=at not in (0, 1, 5)) for at in kept]
    label = f"all cells: {workload}" if workload else "all cells"
    return grid(head, *bodies.values(), label=label, caption=tag("caption", said, class_="sr"))


def _cell_fields(look: Look, view: Overview, cell: CellView, lead: str) -> list[Markup]:
    """lead: what its metrics' names begin with, "" for those of the first workload."""
    valid, total = cell.verdicts["valid"], max(cell.planned, cell.total)

    def with_interval(name: str) -> tuple[Markup, Markup]:
        estimate = cell.estimates.get(name)
        inert = cell.inert.get(name) if cell.note else None
        if inert is not None and inert.median is not None:
            return td(f"({words.short(inert.median)})", "num quiet"), td("inert", "num quiet")
        between = words.bracket(estimate.interval if estimate else None, gap=" – ")
        return td(tag("strong", words.short(cell.median(name))), "num"), td(between, "num quiet")

    cost = f"{lead}{COSTS[1]}" if lead else cost_of(view.cells)
    ends = () if lead else ("client", "server")
    polled = " / ".join(words.percent(cell.median(f"{end}_polled_percent")) for end in ends)
    reference = tag("span", "baseline", class_="quiet") if cell.case == view.baseline else None
    kind = outcome(cell, cost_of(view.cells)) if view.baseline and cell.case != view.baseline else ""
    return [
        td((badge(kind) if kind else reference) if not lead else ""),
        tag("th", look.name(cell.case), scope="row"),
        td(f"{valid} of {total}", "num" if valid == total else "num short"),
        *with_interval(f"{lead}rtt_p50_us"),
        td(change_badge(cell.changes.get(f"{lead}rtt_p50_us")) or cell.note),
        *with_interval(f"{lead}rtt_p99_us"),
        *(td(words.short(cell.median(name)), "num") for name in (f"{lead}rtt_p99_9_us", f"{lead}rate_rps", cost)),
        td("" if polled == "- / -" else polled, "num"),
    ]


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
