"""A comparison looked at while its repetitions are made: intervals that hold however often one looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.stats.contrast import Contrast, contrast
from harness.stats.effect import MIN_BLOCKS_RATIO
from harness.stats.runs import Floats, Interval

MIN_RUNS_LOOK = 3
"""Fewer runs on a side say too little of how they vary, at any level."""

_STEP = 1.4
_LAST = 0.5


@dataclass(frozen=True)
class Looks:
    """After which repetitions comparisons are looked at, from `least` to `most`, and what each look may claim falsely.

    What all looks together may claim falsely is what one alone would: each has its share of that chance (Bonferroni),
    so it does not matter after which of them one stops, nor why. The last one has half of it, the others share the
    rest: early looks are for what is large, which needs little, and the last one for what is small.
    """

    least: int
    most: int

    @cached_property
    def at(self) -> tuple[int, ...]:
        """The numbers of repetitions, each some 1.4 times the one before; the last is `most`."""
        counts = [self.least]
        while counts[-1] < self.most:
            counts.append(min(self.most, max(counts[-1] + 1, math.floor(counts[-1] * _STEP))))
        return tuple(counts)

    def share(self, count: int) -> float:
        """The share of the chance that the look after so many repetitions has."""
        if len(self.at) == 1:
            return 1.0
        return _LAST if count == self.most else (1 - _LAST) / (len(self.at) - 1)


Look = tuple[float, Contrast]
"""A look's share of the chance of a false claim, and what it saw."""


def course(
    base: tuple[Floats, Floats], test: tuple[Floats, Floats], looks: Looks, logarithmic: bool
) -> tuple[Look, ...]:
    """What each look saw of two cells, those that came too soon left out.

    base, test: values and the blocks that they are of, in the order of the runs; a cell that was decided may have ended
    before the other.
    """
    (left, left_at), (right, right_at) = map(_known, (base, test))
    made = max((*left_at, *right_at), default=0)
    seen = []
    for count in looks.at:
        if count > made:
            break
        one, other = left[left_at <= count], right[right_at <= count]
        common, ours, theirs = np.intersect1d(left_at[left_at <= count], right_at[right_at <= count], False, True)
        paired = common.size >= MIN_BLOCKS_RATIO
        if not paired and min(one.size, other.size) < MIN_RUNS_LOOK:
            continue
        sides = (one[ours], other[theirs]) if paired else (one, other)
        if (found := contrast(*sides, paired=paired, logarithmic=logarithmic)) is not None:
            seen.append((looks.share(count), found))
    return tuple(seen)


def together(seen: Sequence[Look], level: float, comparisons: int, lag: float = 0.0) -> Interval | None:
    """The interval that holds at every look and for all comparisons at once, but for the chance `level`.

    It is what the intervals of all looks have in common; None without any.
    """
    ends = [one.widened(lag).interval(1 - share * level / comparisons) for share, one in seen]
    if not ends:
        return None
    low, high = max(end.low for end in ends), min(end.high for end in ends)
    # Looks that exclude each other, of a host that has become another: the last one is the one to go by.
    return Interval(low, high, 1 - level / comparisons) if low <= high else ends[-1]


def p_together(seen: Sequence[Look], comparisons: int, lag: float = 0.0) -> float:
    """The p value that goes with `together`: the least over the looks, each corrected for its share."""
    return min((min(1.0, comparisons * one.widened(lag).p / share) for share, one in seen), default=1.0)


def _known(side: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    values, blocks = side
    known = np.isfinite(values) & np.isfinite(blocks)
    return values[known], blocks[known]
