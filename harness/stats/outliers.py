"""Runs that lie far from their cell's other runs: pointed at, never removed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.runs import Floats

MIN_RUNS_OUTLIER = 5
"""Among fewer runs none can be called far from the others."""

FAR = 5.0
"""Robust standard deviations beyond which a run is pointed at; one normal run in two million is."""

_MAD_TO_SD = 1.4826
# Runs that agree to the last digit would make the least wobble an outlier.
_LEAST_SPREAD = 0.01


@dataclass(frozen=True)
class Outlier:
    """A run far from the others. at: place among the values; far: robust standard deviations from `median`."""

    at: int
    value: float
    median: float
    far: float


def outliers(values: Floats) -> list[list[Outlier]]:
    """Of each row of a table of runs (metric by run), the values more than FAR robust standard deviations off.

    A robust standard deviation is 1.4826 MAD, at least 1 % of the median. Blanks (NaN) are no values.
    """
    by_row: list[list[Outlier]] = [[] for _ in range(values.shape[0])]
    for blank, rows in _by_blanks(values):
        kept = np.flatnonzero(~blank)
        if kept.size < MIN_RUNS_OUTLIER:
            continue
        table = values[rows][:, kept]
        median = _middles(table)
        apart = np.abs(table - median[:, None])
        spread = np.maximum(_MAD_TO_SD * _middles(apart), _LEAST_SPREAD * np.abs(median))
        with np.errstate(all="ignore"):
            far = apart / spread[:, None]
        for row, at in zip(*np.nonzero((far > FAR) & np.isfinite(far)), strict=True):
            one = Outlier(int(kept[at]), float(table[row, at]), float(median[row]), float(far[row, at]))
            by_row[rows[row]].append(one)
    return by_row


def _by_blanks(values: Floats) -> list[tuple[npt.NDArray[np.bool_], list[int]]]:
    """Rows with the same blanks together; mostly there are none, and all rows are one group."""
    blank = ~np.isfinite(values)
    if not blank.any():
        return [(np.zeros(values.shape[1], dtype=bool), list(range(values.shape[0])))]
    return [(blank[row], [row]) for row in range(values.shape[0])]


def _middles(table: Floats) -> Floats:
    ordered = np.sort(table, axis=1)
    count = ordered.shape[1]
    return np.asarray(ordered[:, (count - 1) // 2] / 2.0 + ordered[:, count // 2] / 2.0)
