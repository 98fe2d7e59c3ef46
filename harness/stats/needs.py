"""How many runs a side would decide a comparison, from the variability seen."""

from __future__ import annotations

import math

from harness.stats import student
from harness.stats.contrast import Contrast
from harness.stats.effect import MIN_BLOCKS_RATIO, MIN_RUNS_RATIO, Ratio

MOST = 1_000_000


def runs_needed(
    count: int, ratio: Ratio | None, width: float, confidence: float = 0.95, lag: float = 0.0
) -> int | None:
    """Runs a side for the ratio's interval to lie beyond 1, or within +- `width` (0.05: 5 %); None when nothing tells.

    count: runs a side there are; confidence: that of the interval; lag: see Contrast.widened. Whichever of the two is
    nearer, should estimate and spread stay as they are, for an interval narrows with the square root of the runs. Never
    below what any claim needs.
    """
    least = MIN_BLOCKS_RATIO if ratio is not None and ratio.paired else MIN_RUNS_RATIO
    if ratio is None or ratio.contrast is None:
        return least if count < least else None
    found = ratio.contrast.widened(lag)
    if ratio.paired:
        count = ratio.contrast.freedom + 1  # blocks that both sides have
    target = max(abs(found.mean), math.log1p(width) - abs(found.mean))
    # From where it would be if Student's quantile were the same for any number of runs, for it nearly is.
    guess = count * (_reach(found, count, count, confidence) / target) ** 2
    low, high = least - 1, max(least, int(min(guess, MOST)))
    step = max(1, high // 64)
    if high < MOST and _reach(found, count, high, confidence) > target:
        while high < MOST and _reach(found, count, high, confidence) > target:
            low, high, step = high, high + step, 2 * step
    else:
        while high - step >= least and _reach(found, count, high - step, confidence) <= target:
            high, step = high - step, 2 * step
        low = max(low, high - step)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _reach(found, count, middle, confidence) > target else (low, middle)
    return min(high, MOST)


def reachable(found: Contrast, runs: int, confidence: float, width: float) -> bool:
    """Would so many runs a side decide it, should estimate and spread stay as they are? width: as in `runs_needed`."""
    count = min(each.size for each in found.series)
    target = max(abs(found.mean), (math.log1p(width) if found.logarithmic else 0.0) - abs(found.mean))
    return runs <= count or _reach(found, count, runs, confidence) <= target


def _reach(found: Contrast, count: int, runs: int, confidence: float) -> float:
    """Half the width of the interval, in logarithms, were there so many runs a side instead of `count`."""
    freedom = max(1, found.freedom * (runs - 1) // (count - 1))
    return student.quantile(confidence, freedom) * found.error * math.sqrt(count / runs)
