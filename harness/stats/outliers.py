"""Runs that lie far from their cell's other runs: pointed at, never removed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.stats.runs import Floats, middle

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


def outliers(values: Floats) -> list[Outlier]:
    """Values more than FAR robust standard deviations (1.4826 MAD, at least 1 % of the median) off."""
    finite = np.flatnonzero(np.isfinite(values))
    if finite.size < MIN_RUNS_OUTLIER:
        return []
    kept = values[finite]
    with np.errstate(all="ignore"):
        median = middle(np.sort(kept))
        apart = np.abs(kept - median)
        spread = max(_MAD_TO_SD * middle(np.sort(apart)), _LEAST_SPREAD * abs(median))
        if not spread > 0 or not np.isfinite(spread):
            return []
        far = apart / spread
    return [
        Outlier(int(finite[at]), float(kept[at]), median, float(far[at])) for at in np.flatnonzero(far > FAR)
    ]
