"""Two sets of runs against each other: ratio and difference of medians with their intervals, and a rank test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.stats.contrast import Contrast, contrast
from harness.stats.ranks import RankTest, rank_test
from harness.stats.runs import CONFIDENCE, Floats, Interval, median_interval, middle

Ints = npt.NDArray[np.int64]

MIN_RUNS_RATIO = 4
"""Fewer runs than this on a side claim no difference: with 3, one interval in ten would miss."""

MIN_BLOCKS_RATIO = 5
"""The same for blocks that both sides have: with 4 an interval would miss one time in eight, with 5 in sixteen."""

RESAMPLES = 2000
_SEED = 1

MANY_RUNS = 200
"""From so many runs a side on, half the resamples place the ends of an interval as well as anyone can read them."""


@dataclass(frozen=True)
class Ratio:
    """test / base, of the medians or (paired) the median over blocks; `interval` None with too few runs.

    contrast: the same by means, for intervals that hold for many comparisons at once.
    """

    value: float
    interval: Interval | None
    paired: bool
    contrast: Contrast | None = None

    @property
    def shown(self) -> bool:
        """True when the interval leaves out 1: a difference was shown at the interval's confidence."""
        return self.interval is not None and not self.interval.low <= 1.0 <= self.interval.high


@dataclass(frozen=True)
class Difference:
    """test - base likewise, in the metric's unit."""

    value: float
    interval: Interval | None
    paired: bool
    contrast: Contrast | None = None

    @property
    def shown(self) -> bool:
        """True when the interval leaves out 0."""
        return self.interval is not None and not self.interval.low <= 0.0 <= self.interval.high


@dataclass(frozen=True)
class Effect:
    """All that two sets of runs say about their difference.

    ratio: None where a value is zero or negative; difference: None where a side has no value; rank: None with
    fewer than two values on a side.
    """

    ratio: Ratio | None
    difference: Difference | None
    rank: RankTest | None


def effect(
    base: Sequence[float] | Floats,
    test: Sequence[float] | Floats,
    *,
    paired: bool = False,
    ordered: tuple[Floats, Floats] | None = None,
) -> Effect:
    """Ratio and difference of the medians with percentile bootstrap intervals over runs, and a rank test.

    `paired`: base[i] and test[i] were measured in the same block. Then it is the medians over blocks of
    test / base and test - base, which takes out what a block's runs share, with exact intervals by order
    statistics; a block with a blank on either side is left out. Otherwise the medians of either side, with
    percentile bootstrap intervals, both from the same resamples. Either way the one interval leaves out 1
    exactly when the other leaves out 0. The seed is fixed: the same numbers give the same interval, in
    whatever order cells come. docs/statistics.md says why, and how often the intervals hold the truth.
    ordered: of sides that are not paired the finite values, sorted, where the caller has them.
    """
    left, right = _sides(base, test, paired)
    if not left.size or not right.size:
        return Effect(None, None, None)
    if not paired and ordered is None:
        ordered = np.sort(left), np.sort(right)
    with np.errstate(all="ignore"):
        ratio, difference = _paired(left, right) if ordered is None else _apart(*ordered)
        if ratio is not None:
            by_means = contrast(left, right, paired=paired, logarithmic=True, ordered=ordered)
            ratio = Ratio(ratio.value, ratio.interval, paired, by_means)
        if difference is not None:
            by_means = contrast(left, right, paired=paired, logarithmic=False, ordered=ordered)
            difference = Difference(difference.value, difference.interval, paired, by_means)
        # Which run has which rank does not matter where sides are apart, and sorted ones are ranked faster.
        return Effect(ratio, difference, rank_test(*((left, right) if ordered is None else ordered), paired))


def _paired(base: Floats, test: Floats) -> tuple[Ratio | None, Difference | None]:
    """Every block gives a ratio and a difference; these are runs of their own, with a median."""
    enough = base.size >= MIN_BLOCKS_RATIO
    differences = np.sort(test - base)
    ends = median_interval(differences) if enough else None
    difference = _difference(middle(differences), ends, True)
    if not (base.min() > 0 and test.min() > 0):
        return None, difference
    ratios = np.sort(test / base)
    ends = median_interval(ratios) if enough else None
    return _ratio(middle(ratios), ends, True), difference


def _apart(base: Floats, test: Floats) -> tuple[Ratio | None, Difference | None]:
    """Of the sorted values of either side."""
    under, over = middle(base), middle(test)
    positive = bool(base[0] > 0 and test[0] > 0)
    if min(base.size, test.size) < MIN_RUNS_RATIO:
        ratio = _ratio(over / under, None, False) if positive else None
        return ratio, _difference(over - under, None, False)
    # The two sides need draws of their own, hence two seeds.
    resamples = RESAMPLES if min(base.size, test.size) < MANY_RUNS else RESAMPLES // 2
    unders = _at(base, *_median_draws(int(base.size), resamples, ~_SEED))
    overs = _at(test, *_median_draws(int(test.size), resamples, _SEED))
    difference = _difference(over - under, _ends(overs - unders), False)
    ratio = _ratio(over / under, _ends(overs / unders), False) if positive else None
    return ratio, difference


def ratio_interval(
    base: Sequence[float] | Floats, test: Sequence[float] | Floats, *, paired: bool = False
) -> Ratio | None:
    """The ratio of `effect` alone; None when a ratio has no meaning."""
    return effect(base, test, paired=paired).ratio


def _ratio(value: float, interval: Interval | None, paired: bool) -> Ratio | None:
    """The ratio; None if it or an end of its interval overflows or underflows a float."""
    edges = (value, interval.low, interval.high) if interval else (value,)
    return Ratio(value, interval, paired) if all(1e-300 < edge < 1e300 for edge in edges) else None


def _difference(value: float, interval: Interval | None, paired: bool) -> Difference | None:
    width = interval.high - interval.low if interval else 0.0
    return Difference(value, interval, paired) if math.isfinite(value + width) else None


def _ends(resampled: Floats) -> Interval:
    skip = int((1.0 - CONFIDENCE) / 2.0 * resampled.size)
    ends = np.partition(resampled, (skip, resampled.size - 1 - skip))
    return Interval(float(ends[skip]), float(ends[-1 - skip]), CONFIDENCE)


def _sides(base: Any, test: Any, paired: bool) -> tuple[Floats, Floats]:
    left, right = np.asarray(base, dtype=np.float64), np.asarray(test, dtype=np.float64)
    if not paired:
        # Two sums tell what looking at each value would: blanks are rare.
        with np.errstate(all="ignore"):
            finite = math.isfinite(float(left.sum()) + float(right.sum()))
        if finite:
            return left, right
        return left[np.isfinite(left)], right[np.isfinite(right)]
    if left.shape != right.shape:
        raise ValueError(f"paired sides differ in length: {left.size} and {right.size}")
    both = np.isfinite(left) & np.isfinite(right)
    return left[both], right[both]


def _at(ordered: Floats, lower: npt.NDArray[Any], upper: npt.NDArray[Any]) -> Floats:
    return np.asarray((ordered[lower] + ordered[upper]) / 2.0, dtype=np.float64)


@lru_cache(maxsize=64)
def _median_draws(count: int, resamples: int, seed: int) -> tuple[Ints, Ints]:
    """Ranks (from 0) of the two middle values of bootstrap resamples of `count` sorted values.

    A resample draws uniform positions, so its order statistics are those of uniform numbers: beta
    distributed. Drawing the middle ones directly costs the same for 5 runs and for 50,000, and is exact.
    """
    draw = np.random.default_rng((seed & 0xFFFFFFFF, count))
    low_rank, high_rank = (count + 1) // 2, count // 2 + 1
    lower = draw.beta(low_rank, count - low_rank + 1, resamples)
    upper = lower
    if high_rank != low_rank:
        # Given the lower one, the next is the least of the (count - low_rank) numbers that lie above it.
        upper = lower + (1.0 - lower) * draw.beta(1, count - low_rank, resamples)
    last = count - 1
    return (np.minimum((lower * count).astype(np.int64), last), np.minimum((upper * count).astype(np.int64), last))
