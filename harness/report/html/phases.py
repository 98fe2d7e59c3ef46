"""Where a request's time goes: the median of every phase, side by side for the cases."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from harness import stats
from harness.analysis.compare import Factors
from harness.report import words
from harness.report.html.frame import grid, th
from harness.report.html.markup import Markup, tag
from harness.report.html.style import Look
from harness.tables.cells import SummaryCell

_PHASE = re.compile(r"phase_(?P<name>.+?)(?:_(?P<of>p[0-9_]+|mean|median))?_us")
_SUMS = ("sum", "total", "all")


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
