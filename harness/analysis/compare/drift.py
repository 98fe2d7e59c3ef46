"""Drift: does a metric rise or fall with the order in which the runs of the same cells were made?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness import stats
from harness.analysis.compare.change import Floats
from harness.analysis.compare.model import LEVEL, Drift
from harness.analysis.compare.pairing import times_of
from harness.tables.cells import SummaryCell
from harness.tables.columnar import Table, table_of

if TYPE_CHECKING:
    import pandas as pd

_MOST = 500
"""Runs of a cell that are looked at, evenly spread over all: every two of them are compared."""


def drifts(
    sides: Iterable[tuple[str, Table | pd.DataFrame, Iterable[SummaryCell]]], metrics: Sequence[str]
) -> tuple[Drift, ...]:
    """The metrics of each side that drift, at a corrected p of at most LEVEL.

    Kendall's (Mann-Kendall) test of every cell's values against their order, summed over the cells of a side. Time
    stands for order where a table has no order. Cells with fewer than MIN_RUNS_RATIO values say nothing.
    """
    tried = [
        (letter, name, score)
        for letter, runs, cells in sides
        for name, score in _scores(table_of(runs), list(cells), metrics)
    ]
    corrected = stats.holm([math.erfc(abs(score) / math.sqrt(2)) for _, _, score in tried])
    return tuple(
        Drift(letter, name, score > 0, p)
        for (letter, name, score), p in zip(tried, corrected, strict=True)
        if p <= LEVEL
    )


def _scores(table: Table, cells: Sequence[SummaryCell], metrics: Sequence[str]) -> Iterable[tuple[str, float]]:
    """The standardised sum of Kendall's S over the cells, by metric."""
    place = table.floats("order")
    if not np.isfinite(place).any():
        place = table.once(times_of)
    for name in metrics:
        values, total, variance = table.floats(name), 0.0, 0.0
        for cell in cells:
            rows = cell.valid[np.isfinite(values[cell.valid]) & np.isfinite(place[cell.valid])]
            if rows.size >= stats.MIN_RUNS_RATIO and np.unique(place[rows]).size == rows.size:
                one, spread = _kendall(values[rows[np.argsort(place[rows])]])
                total, variance = total + one, variance + spread
        if variance > 0:
            # One less, for S is a whole number and the normal curve is not.
            yield name, math.copysign(max(0.0, abs(total) - 1), total) / math.sqrt(variance)


def _kendall(values: Floats) -> tuple[float, float]:
    """Kendall's S of values against their places, and its variance without a trend, ties allowed for."""
    if values.size > _MOST:
        values = values[np.linspace(0, values.size - 1, _MOST).astype(int)]
    later = np.sign(values[None, :] - values[:, None])
    count = values.size
    _, ties = np.unique(values, return_counts=True)
    spread = count * (count - 1) * (2 * count + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())
    return float(np.triu(later, 1).sum()), spread / 18
