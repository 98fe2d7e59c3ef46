"""Rank tests of "no difference": Mann-Whitney U and Wilcoxon's signed ranks, exact where runs are few."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MIN_BLOCKS_SIGNED = 8
"""Fewer blocks are tested unpaired: eight signs alone can reach p = 0.008, five not even p = 0.05."""

EXACT_RUNS = 40
"""Up to this many runs in all (blocks, if paired) the null distribution is counted out, ties and all."""


@dataclass(frozen=True)
class RankTest:
    """The two-sided p value of a rank test; least: the smallest p that so many runs could give."""

    p: float
    least: float
    method: str


def rank_test(base: Floats, test: Floats, paired: bool) -> RankTest | None:
    """The rank test that goes with an effect; None with fewer than two runs on a side.

    Paired from MIN_BLOCKS_SIGNED blocks on; with fewer, the sides are tested apart, which errs on the safe
    side where blocks share their noise.
    """
    if min(base.size, test.size) < 2:
        return None
    if paired and base.size >= MIN_BLOCKS_SIGNED:
        # As ratios where there are any: what blocks share multiplies.
        positive = base.min() > 0 and test.min() > 0
        apart = np.log(test) - np.log(base) if positive else test - base
        return RankTest(signed_rank(apart), min(1.0, 2.0 ** (1 - base.size)), "Wilcoxon signed rank")
    log_ways = math.lgamma(base.size + test.size + 1) - math.lgamma(base.size + 1) - math.lgamma(test.size + 1)
    return RankTest(mann_whitney(base, test), min(1.0, 2.0 * math.exp(-log_ways)), "Mann-Whitney U")


def mann_whitney(base: Floats, test: Floats) -> float:
    """Two-sided p of the hypothesis that both sides come from one population.

    Exact given the ties up to EXACT_RUNS values in all; above, normal with corrections for ties and for
    continuity.
    """
    total, size = int(base.size + test.size), int(test.size)
    doubled = _doubled_ranks(np.concatenate((base, test)))
    ranks_of_test = int(doubled[base.size :].sum())
    if total <= EXACT_RUNS:
        return _two_sided(_sums_of_some(tuple(sorted(doubled.tolist())), size), ranks_of_test)
    expected = size * (total + 1) / 2.0
    apart = doubled - (total + 1)
    spread = int((apart * apart).sum()) / 4.0 / (total - 1) / total
    return _normal(ranks_of_test / 2.0 - expected, math.sqrt(spread * size * (total - size)))


def signed_rank(apart: Floats) -> float:
    """Two-sided p of the hypothesis that differences lie symmetrically about 0; zeros are left out."""
    apart = apart[apart != 0]
    if not apart.size:
        return 1.0
    doubled = _doubled_ranks(np.abs(apart))
    positive_ranks = int(doubled[apart > 0].sum())
    if apart.size <= EXACT_RUNS:
        return _two_sided(_sums_of_any(tuple(sorted(doubled.tolist()))), positive_ranks)
    ranks = doubled / 2.0
    return _normal(positive_ranks / 2.0 - ranks.sum() / 2.0, math.sqrt(float((ranks**2).sum()) / 4.0))


def _doubled_ranks(values: Floats) -> npt.NDArray[np.int64]:
    """Twice the mean rank of each value (from 2): whole numbers, ties sharing theirs."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    ends = np.concatenate((starts[1:], [values.size]))
    ranks = np.empty(values.size, dtype=np.int64)
    ranks[order] = np.repeat(starts + ends + 1, ends - starts)
    return ranks


@lru_cache(maxsize=512)
def _sums_of_some(ranks: tuple[int, ...], size: int) -> Floats:
    """How many of the ways to choose `size` of the ranks have each sum (place in the array)."""
    ways = np.zeros((size + 1, sum(ranks) + 1))
    ways[0, 0] = 1.0
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, :-rank]
    return np.asarray(ways[size])


@lru_cache(maxsize=512)
def _sums_of_any(ranks: tuple[int, ...]) -> Floats:
    """How many of the ways to choose any of the ranks have each sum."""
    ways = np.zeros(sum(ranks) + 1)
    ways[0] = 1.0
    for rank in ranks:
        ways[rank:] += ways[:-rank].copy()
    return ways


def _two_sided(ways: Floats, ranks_sum: int) -> float:
    """Twice the smaller tail, `found` included: right for distributions that ties have made lopsided too."""
    tail = min(float(ways[: ranks_sum + 1].sum()), float(ways[ranks_sum:].sum()))
    return min(1.0, 2.0 * tail / float(ways.sum()))


def _normal(apart: float, spread: float) -> float:
    if spread == 0:
        return 1.0
    return math.erfc(max(0.0, abs(apart) - 0.5) / spread / math.sqrt(2))
