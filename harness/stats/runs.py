"""The runs of one cell: their median, and an exact interval of it by order statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MIN_RUNS_INTERVAL = 3
"""Fewer runs than this have no interval of the median: two runs would bracket it only every other time."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """Where a value lies between, and how often such an interval contains the truth (0..1)."""

    low: float
    high: float
    confidence: float

    def within(self, low: float, high: float) -> bool:
        """Does all of the interval lie between these two?"""
        return low <= self.low and self.high <= high


@dataclass(frozen=True)
class Estimate:
    """Median and mean over `n` runs, and the median's interval; None where there is nothing to say."""

    median: float | None
    interval: Interval | None
    n: int
    mean: float | None = None


def clean(values: npt.ArrayLike) -> Floats:
    """The finite values, sorted: blanks (None, NaN) and infinities are not measurements."""
    array = np.asarray(values, dtype=np.float64)
    return np.sort(array[np.isfinite(array)])


def median(values: npt.ArrayLike) -> float | None:
    """The median of the finite values; None when there are none."""
    ordered = clean(values)
    return middle(ordered) if ordered.size else None


def estimate(values: npt.ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """Median, interval of the median and count of the finite values."""
    return estimate_sorted(clean(values), confidence)


def estimate_sorted(ordered: Floats, confidence: float = CONFIDENCE) -> Estimate:
    """What `estimate` gives, for values that are finite and sorted already, as `clean` leaves them."""
    if not ordered.size:
        return Estimate(None, None, 0)
    # Divided first: the sum can be more than a float holds.
    mean = float((ordered / ordered.size).sum())
    return Estimate(middle(ordered), _interval(ordered, confidence), int(ordered.size), mean)


def median_interval(values: npt.ArrayLike, confidence: float = CONFIDENCE) -> Interval | None:
    """An interval of the median by order statistics: exact for any distribution of runs, no resampling.

    The narrowest symmetric pair of order statistics whose coverage reaches `confidence`; when even smallest
    to largest does not (n <= 5 at 95 %), smallest to largest with the confidence it really has (n = 5:
    93.75 %, n = 4: 87.5 %, n = 3: 75 %). None below MIN_RUNS_INTERVAL values.
    """
    return _interval(clean(values), confidence)


def _interval(ordered: Floats, confidence: float) -> Interval | None:
    if ordered.size < MIN_RUNS_INTERVAL:
        return None
    rank, achieved = _median_ranks(int(ordered.size), confidence)
    return Interval(float(ordered[rank - 1]), float(ordered[-rank]), achieved)


@lru_cache(maxsize=4096)
def _median_ranks(count: int, confidence: float) -> tuple[int, float]:
    """The largest k with coverage of [x(k), x(n+1-k)] >= confidence (k = 1 if none), and that coverage."""
    # log of C(n, k) / 2^n, so that thousands of runs neither overflow nor vanish.
    log_total = math.lgamma(count + 1) - count * math.log(2)
    below, best = 0.0, (1, 0.0)
    for rank in range(1, count // 2 + 1):
        below += math.exp(log_total - math.lgamma(rank) - math.lgamma(count - rank + 2))
        coverage = 1.0 - 2.0 * below
        if rank > 1 and coverage < confidence:
            break
        best = (rank, coverage)
    return best


def middle(ordered: Floats) -> float:
    """The median of sorted values, of which there is at least one."""
    count = ordered.size
    low, high = float(ordered[(count - 1) // 2]), float(ordered[count // 2])
    # Halved first: the sum of two numbers can be more than a float holds.
    return low if low == high else low / 2.0 + high / 2.0
