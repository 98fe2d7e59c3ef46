"""Two sets of runs against each other: ratio and difference of their medians with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.stats.ranks import RankTest, rank_test
from harness.stats.runs import CONFIDENCE, Floats, Interval, middle

Ints = npt.NDArray[np.int64]

MIN_RUNS_RATIO = 4
"""Fewer runs than this on a side claim no difference: with 3, one interval in ten would miss."""

MIN_BLOCKS_RATIO = 5
"""The same for blocks that both sides have: with 4 a paired interval could not even reach 90 %."""

RESAMPLES = 2000


@dataclass(frozen=True)
class Ratio:
    """test / base of the two medians over runs; `interval` is None with too few runs for one."""

    value: float
    interval: Interval | None
    paired: bool

    @property
    def shown(self) -> bool:
        """True when the interval leaves out 1: a difference was shown at the interval's confidence."""
        return self.interval is not None and not self.interval.low <= 1.0 <= self.interval.high


@dataclass(frozen=True)
class Difference:
    """test - base of the two medians over runs, in the metric's unit; `interval` as in Ratio."""

    value: float
    interval: Interval | None
    paired: bool

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
    confidence: float = CONFIDENCE,
    seed: int = 1,
) -> Effect:
    """Ratio and difference of the medians with percentile bootstrap intervals over runs, and a rank test.

    `paired`: base[i] and test[i] were measured in the same block; blocks are resampled whole, which takes out
    what a block's runs share, and a block with a blank on either side is left out. Otherwise the two sides
    are resampled apart. Both intervals come from the same resamples, so the one leaves out 1 exactly when
    the other leaves out 0. The seed is fixed: the same numbers give the same interval, in whatever order
    cells come. docs/statistics.md says why this interval, and how often it holds the truth.
    """
    left, right = _sides(base, test, paired)
    if not left.size or not right.size:
        return Effect(None, None, None)
    rank = rank_test(left, right, paired)
    ordered = np.sort(left), np.sort(right)
    under, over = middle(ordered[0]), middle(ordered[1])
    with np.errstate(all="ignore"):
        meaning = bool(ordered[0][0] > 0 and ordered[1][0] > 0 and _printable(over / under))
        if min(left.size, right.size) < (MIN_BLOCKS_RATIO if paired else MIN_RUNS_RATIO):
            ratio = Ratio(over / under, None, paired) if meaning else None
            return Effect(ratio, _difference(over - under, None, paired), rank)
        if paired:
            picks = _block_picks(int(left.size), seed)
            unders, overs = _medians_of_picks(left, picks), _medians_of_picks(right, picks)
        else:
            # The two sides need draws of their own, hence two seeds.
            unders = _at(ordered[0], *_median_draws(int(left.size), ~seed))
            overs = _at(ordered[1], *_median_draws(int(right.size), seed))
        difference = _difference(over - under, _ends(overs - unders, confidence), paired)
        if not meaning:
            return Effect(None, difference, rank)
        ends = _ends(overs / unders, confidence)
    ratio = Ratio(over / under, ends, paired) if _printable(ends.low) and _printable(ends.high) else None
    return Effect(ratio, difference, rank)


def ratio_interval(
    base: Sequence[float] | Floats,
    test: Sequence[float] | Floats,
    *,
    paired: bool = False,
    confidence: float = CONFIDENCE,
    seed: int = 1,
) -> Ratio | None:
    """The ratio of `effect` alone; None when a ratio has no meaning."""
    return effect(base, test, paired=paired, confidence=confidence, seed=seed).ratio


def _printable(ratio: float) -> bool:
    """Numbers at the edge of what a float holds have no ratio one could print."""
    return 1e-300 < ratio < 1e300


def _difference(value: float, interval: Interval | None, paired: bool) -> Difference | None:
    width = interval.high - interval.low if interval else 0.0
    return Difference(value, interval, paired) if math.isfinite(value + width) else None


def _ends(resampled: Floats, confidence: float) -> Interval:
    skip = int((1.0 - confidence) / 2.0 * resampled.size)
    # Sorting all of it is as quick as selecting two, and quicker to call.
    ends = resampled.copy()
    ends.sort()
    return Interval(float(ends[skip]), float(ends[-1 - skip]), confidence)


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
def _median_draws(count: int, seed: int) -> tuple[Ints, Ints]:
    """Ranks (from 0) of the two middle values of RESAMPLES bootstrap resamples of `count` sorted values.

    A resample draws uniform positions, so its order statistics are those of uniform numbers: beta
    distributed. Drawing the middle ones directly costs the same for 5 runs and for 50,000, and is exact.
    """
    draw = np.random.default_rng((seed & 0xFFFFFFFF, count))
    low_rank, high_rank = (count + 1) // 2, count // 2 + 1
    lower = draw.beta(low_rank, count - low_rank + 1, RESAMPLES)
    upper = lower
    if high_rank != low_rank:
        # Given the lower one, the next is the least of the (count - low_rank) numbers that lie above it.
        upper = lower + (1.0 - lower) * draw.beta(1, count - low_rank, RESAMPLES)
    last = count - 1
    return (
        np.minimum((lower * count).astype(np.int64), last),
        np.minimum((upper * count).astype(np.int64), last),
    )


@lru_cache(maxsize=16)
def _block_picks(count: int, seed: int) -> Ints:
    """Which blocks each resample holds, one resample a row."""
    draw = np.random.default_rng((seed & 0xFFFFFFFF, count, 2))
    return draw.integers(0, count, size=(_resamples_for(count), count))


def _resamples_for(count: int) -> int:
    """Fewer resamples for very many blocks: the table of picks would not fit in memory otherwise."""
    return max(400, min(RESAMPLES, 8_000_000 // count))


def _medians_of_picks(values: Floats, picks: Ints) -> Floats:
    """The median of each resample. Sorting small ranks, not the values, is several times faster."""
    count = values.size
    order = np.argsort(values)
    ranks = np.empty(count, dtype=np.uint16 if count <= 1 << 16 else np.uint32)
    ranks[order] = np.arange(count)
    drawn = np.sort(ranks[picks], axis=1)
    return _at(values[order], drawn[:, (count - 1) // 2], drawn[:, count // 2])
