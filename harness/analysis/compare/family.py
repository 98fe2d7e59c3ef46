"""What concerns the rows of a comparison together: what they claim at once, their order, and runs far from others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from harness import stats
from harness.analysis.compare.change import decided
from harness.analysis.compare.model import Change, Family, OutlierRun, Row, Sort
from harness.tables.cells import SummaryCell
from harness.tables.columnar import Table


def corrected(rows: Sequence[Row]) -> tuple[list[Row], dict[str, int]]:
    """The rows with p values corrected (Holm), and how many tests each metric's family has.

    A family is every test of one metric: what a reader takes in as one table.
    """
    places: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        if row.change.rank is not None:
            places.setdefault(row.metric, []).append(at)
    adjusted = list(rows)
    for members in places.values():
        ranks = [rank for at in members if (rank := rows[at].change.rank) is not None]
        for at, p in zip(members, stats.holm([rank.p for rank in ranks]), strict=True):
            adjusted[at] = replace(rows[at], change=replace(rows[at].change, p=p))
    return adjusted, {metric: len(members) for metric, members in places.items()}


def judged_together(rows: Sequence[Row], smallest: float, level: float) -> list[Row]:
    """The rows with what they claim as one family: all cells, inputs and metrics that the page has."""
    family = family_of([row.change for row in rows], level)
    return [replace(row, change=decided(row.metric, row.change, smallest, family)) for row in rows]


def family_of(changes: Iterable[Change], level: float) -> Family:
    """The family of all of these that could be claimed, which are those that have an interval."""
    found = [change.decides for change in changes if change.decides and (change.decides.interval or change.course)]
    lag = stats.chained([series for each in found if each.contrast for series in each.contrast.series])
    return Family(max(1, len(found)), level, lag)


def in_order(rows: Sequence[Row], sort: Sort) -> tuple[Row, ...]:
    """Rows of each metric in the order asked for; ties keep the plan's order."""
    metrics = list(dict.fromkeys(row.metric for row in rows))
    return tuple(row for name in metrics for row in _sorted([row for row in rows if row.metric == name], sort))


def _sorted(rows: list[Row], sort: Sort) -> list[Row]:
    match sort:
        case "case":
            return sorted(rows, key=lambda row: (row.case, row.factors))
        case "effect":
            return sorted(rows, key=_size, reverse=True)
        case "p":
            return sorted(rows, key=lambda row: _likelihood(row.change))
        case "plan":
            return rows


def _likelihood(change: Change) -> tuple[bool, float]:
    found = change.decides.contrast if change.decides else None
    return found is None, found.p if found else 0.0


def _size(row: Row) -> float:
    ratio = row.change.ratio
    return abs(math.log(ratio.value)) if ratio else -1.0


def far_runs(letter: str, table: Table, cells: Iterable[SummaryCell], metrics: Sequence[str]) -> Iterator[OutlierRun]:
    """Runs that count but lie far from the others of their cell, for each metric."""
    ids = table.texts("run_id") if "run_id" in table else None
    if not metrics:
        return
    figures = np.stack([table.floats(name) for name in metrics])
    for cell in cells:
        for name, outliers in zip(metrics, stats.outliers(np.take(figures, cell.valid, axis=1)), strict=True):
            for outlier in outliers:
                row = int(cell.valid[outlier.at])
                # A table without ids: rows as a spreadsheet counts them, below the header.
                run_id = ids.names[ids.codes[row]] if ids is not None else f"row {row + 2}"
                where = (cell.case, cell.factors, run_id)
                yield OutlierRun(letter, name, *where, outlier.value, outlier.median, outlier.far)
