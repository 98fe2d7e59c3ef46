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
    for rows, kept in _by_blanks(values):
        table = values if kept is None else values[rows][:, kept]
        if table.shape[1] < MIN_RUNS_OUTLIER:
            continue
        median = _middles(table)
        apart = np.abs(table - median[:, None])
        spread = np.maximum(_MAD_TO_SD * _middles(apart), _LEAST_SPREAD * np.abs(median))
        with np.errstate(all="ignore"):
            far = apart / spread[:, None]
            beyond = far > FAR
        for place in np.flatnonzero(beyond & np.isfinite(far)).tolist():
            row, at = divmod(place, table.shape[1])
            one = Outlier(
                int(at if kept is None else kept[at]), float(table[row, at]), float(median[row]), float(far[row, at])
            )
            by_row[rows[row]].append(one)
    return by_row


def _by_blanks(values: Floats) -> list[tuple[list[int], npt.NDArray[np.intp] | None]]:
    """Rows with the places of their values; None where there is no blank, as mostly: then all rows are one group."""
    there = np.isfinite(values)
    if there.all():
        return [(list(range(values.shape[0])), None)]
    return [([row], np.flatnonzero(there[row])) for row in range(values.shape[0])]


def _middles(table: Floats) -> Floats:
    # One place is selected several times as quickly as two; of what lies below it the greatest is the other.
    high = table.shape[1] // 2
    parted = np.partition(table, high, axis=1)
    above = parted[:, high]
    below = above if table.shape[1] % 2 else parted[:, :high].max(axis=1)
    return np.asarray(below / 2.0 + above / 2.0)
