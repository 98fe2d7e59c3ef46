"""Change points: where values in their order move to another level, with a stated chance of saying so of chance.

By ranks, so that neither a far value nor the values' distribution matters: the largest difference of mean ranks on both
sides of a place, over places and over windows of many lengths, against the same of values in random order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from harness.stats.runs import Floats

MIN_SIDE = 2
"""Fewer values than this make no level of their own."""

DRAWS: int = 39_999
"""Random orders that p values are counted from: none is below 1 / (DRAWS + 1)."""

_DRAWS_OF_PLACES = 999
_LEVEL_OF_PLACES = 0.05
_SHRINK = 2**0.5
_AT_ONCE = 500
_SEED = 1
_MOST_LAG = 0.9
_CHANCE = 5.0
"""Over the number of values: the correlation that is not counted."""

_DOUBT = 1.0
"""Over the root of that number, the standard error of a correlation: what is added, for it may well be larger."""

_Windows = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]


@dataclass(frozen=True)
class Jump:
    """A change point: the values from place `at` on, up to the next one, lie on another level than those before.

    p: of the whole series having none, where this one was looked for; earliest, latest: between which places it lies
    with the stated confidence, `at` included.
    """

    at: int
    p: float
    earliest: int
    latest: int


def jump_p(values: Floats, lag: float = 0.0) -> float:
    """The p value of the values' order meaning nothing: no change point anywhere; 1 where they are too few.

    lag: the correlation of a value with the one before it, where that is no change of level.
    """
    return _strongest(values, lag, DRAWS)[0]


def jumps(values: Floats, level: float, lag: float = 0.0) -> list[Jump]:
    """The change points, in order: of values without any, one is claimed with a chance of at most `level`.

    The stretches on both sides of one are looked at for more, each with a share of `level` by its length.
    """
    places = _places(values, level, lag, DRAWS)
    edges = [0, *(at for at, _ in places), values.size]
    return [
        Jump(at, p, *_reach(values[before:after], at - before, before, lag))
        for (at, p), before, after in zip(places, edges, edges[2:], strict=False)
    ]


def _places(values: Floats, level: float, lag: float, draws: int) -> list[tuple[int, float]]:
    """Where change points are, in order, each with its p value."""
    places: list[tuple[int, float]] = []
    todo = [(0, values.size)]
    while todo:
        start, end = todo.pop()
        p, at = _strongest(values[start:end], lag, draws)
        if p <= level * (end - start) / values.size:
            places.append((start + at, p))
            todo += [(start, start + at), (start + at, end)]
    return sorted(places)


def resemblance(series: Sequence[Floats], level: float) -> float:
    """How much values resemble the ones before them, their levels apart: the correlation, 0 to 0.9, in twentieths.

    Of all series together, each in its order. Levels are taken out as they are found when values are taken to
    resemble each other as their steps say: otherwise what resembles would pass for levels. Of few values that is little
    certain; so much of it as chance makes is not counted. A standard error is added, and the next twentieth above
    taken: with the likeliest value half of all series resemble each other more than is allowed for.
    """
    known = [values for values in series if values.size >= 2 * MIN_SIDE + 1 and values.min() < values.max()]
    if not known:
        return 0.0
    # One value on and two values on: where values resemble each other by r, squares of the steps are as 1 to 1 + r. A
    # level's step is in few of them, and counts less here than in a correlation.
    steps = [
        np.mean([np.abs(_ranks(values)[far:] - _ranks(values)[:-far]).mean() for values in known]) for far in (1, 2)
    ]
    about = round(20 * _normal(float((steps[1] / steps[0]) ** 2) - 1)) / 20
    left = [_levels_taken_out(values, level, about) for values in known]
    sizes = np.array([each.size for each in left])
    found = np.array([(each[1:] * each[:-1]).sum() / max((each**2).sum(), 1e-12) for each in left])
    # About a mean that they made themselves, n values correlate less: by 1 / n, and by 3 / n of what there is.
    true = np.average((found + 1 / sizes) / (1 - 3 / sizes), weights=sizes)
    count = float(sizes.sum())
    # Less a millionth, for what is a twentieth but for its last digits.
    return math.ceil(20 * _normal(float(true) - _CHANCE / count + _DOUBT / math.sqrt(count)) - 1e-6) / 20


def _levels_taken_out(values: Floats, level: float, lag: float) -> Floats:
    """The values' ranks about the mean rank of their stretch between change points."""
    ranks, left = _ranks(values), np.empty(values.size)
    edges = [0, *(at for at, _ in _places(values, level, lag, _DRAWS_OF_PLACES)), values.size]
    for start, end in pairwise(edges):
        left[start:end] = ranks[start:end] - ranks[start:end].mean()
    return left


def _normal(of_ranks: float) -> float:
    """The correlation of normal values whose ranks have this one, from 0 to _MOST_LAG.

    It is used in twentieths, since each has random orders of its own.
    """
    return min(_MOST_LAG, 2 * math.sin(math.pi * max(0.0, of_ranks) / 6))


def least_p(count: int) -> float:
    """The smallest p value that so many values can have: of all of one level lying above all of the other."""
    if count < 2 * MIN_SIDE:
        return 1.0
    return _p_of(_statistics(_ranks(np.arange(float(count))), count), count, 0.0, DRAWS)


def _strongest(values: Floats, lag: float, draws: int) -> tuple[float, int]:
    """The p value of the strongest change point, and where it is."""
    count = values.size
    if count < 2 * MIN_SIDE or bool((values == values[0]).all()):
        return 1.0, 0
    statistics = _statistics(_ranks(values), count)
    return _p_of(statistics, count, lag, draws), int(_windows(count)[1][statistics.argmax()])


def _p_of(statistics: Floats, count: int, lag: float, draws: int) -> float:
    return _share_above(_null(count, lag, draws, True), float(statistics.max()))


def _share_above(null: Floats, largest: float) -> float:
    """The share of random orders that go as far, this one among them."""
    as_far = null.size - int(np.searchsorted(null, largest - 1e-9, side="left"))
    return (1 + as_far) / (1 + null.size)


def _reach(values: Floats, at: int, start: int, lag: float) -> tuple[int, int]:
    """Between which places a change point lies with a confidence of 95 %: where neither side has one of its own."""
    ranks, ends = _ranks(values), [at, at]
    for side, step in enumerate((-1, 1)):
        while 0 < (place := ends[side] + step) < values.size:
            if min(_alone_p(ranks[:place], lag), _alone_p(ranks[place:], lag)) <= _LEVEL_OF_PLACES / 2:
                break
            ends[side] = place
    return start + ends[0], start + ends[1]


def _alone_p(values: Floats, lag: float) -> float:
    """The p value of no change point in a stretch, by its whole length alone."""
    if values.size < 2 * MIN_SIDE:
        return 1.0
    statistics = _statistics(_ranks(values), values.size, windows=False)
    return _share_above(_null(values.size, lag, _DRAWS_OF_PLACES, False), float(statistics.max()))


def _ranks(values: Floats) -> Floats:
    """Ranks about 0 in units of their spread, ties sharing theirs; it is the spread without ties, which is safe."""
    count = values.size
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    means = np.cumsum(counts) - (counts - 1) / 2.0
    return np.asarray((means[codes] - (count + 1) / 2.0) / np.sqrt((count**2 - 1) / 12.0))


def _statistics(ranks: Floats, count: int, *, windows: bool = True) -> Floats:
    """How far the mean ranks on both sides of each place lie apart, in each window; over the last axis of `ranks`."""
    start, at, end = _windows(count) if windows else _whole(count)
    sums = np.concatenate((np.zeros((*ranks.shape[:-1], 1)), np.cumsum(ranks, axis=-1)), axis=-1)
    left, right = at - start, end - at
    apart = (sums[..., at] - sums[..., start]) / left - (sums[..., end] - sums[..., at]) / right
    return np.asarray(np.abs(apart) * np.sqrt(left * right / (left + right)))


@lru_cache(maxsize=256)
def _whole(count: int) -> _Windows:
    """Start, place and end of every change point that the whole may have."""
    at = np.arange(MIN_SIDE, count - MIN_SIDE + 1)
    return np.zeros_like(at), at, np.full_like(at, count)


@lru_cache(maxsize=256)
def _windows(count: int) -> _Windows:
    """The same within all spans."""
    wholes = [(start, _whole(size)) for start, size in _spans(count)]
    starts, ats, ends = zip(*([start + part for part in whole] for start, whole in wholes), strict=True)
    return np.concatenate(starts), np.concatenate(ats), np.concatenate(ends)


@lru_cache(maxsize=256)
def _spans(count: int) -> list[tuple[int, int]]:
    """Start and size of the whole, and of ever shorter windows, half over each other, that show what is undone."""
    spans, length = [(0, count)], count / _SHRINK
    while length >= 3 * MIN_SIDE:
        size = round(length)
        steps = max(1, -(-2 * (count - size) // size))
        starts = dict.fromkeys(round(step * (count - size) / steps) for step in range(steps + 1))
        spans += [(start, size) for start in starts]
        length /= _SHRINK
    return spans


@lru_cache(maxsize=1024)
def _null(count: int, lag: float, draws: int, windows: bool) -> Floats:
    """The largest statistic of each of so many random orders, sorted; of chained values (AR(1)) with a lag."""
    draw = np.random.default_rng((_SEED, count))
    largest = []
    for first in range(0, draws, _AT_ONCE):
        noise = draw.standard_normal((min(_AT_ONCE, draws - first), count))
        if lag:
            for place in range(1, count):
                noise[:, place] = lag * noise[:, place - 1] + np.sqrt(1 - lag**2) * noise[:, place]
        ranks = np.argsort(np.argsort(noise, axis=1), axis=1) - (count - 1) / 2.0
        largest.append(_largest(ranks.T / np.sqrt((count**2 - 1) / 12.0), _spans(count) if windows else [(0, count)]))
    return np.sort(np.concatenate(largest))


def _largest(ranks: Floats, spans: Sequence[tuple[int, int]]) -> Floats:
    """The largest of `_statistics` of each order, a column each: span by span, which takes a third of the time."""
    sums = np.concatenate((np.zeros((1, ranks.shape[1])), np.cumsum(ranks, axis=0)))
    largest = np.zeros(ranks.shape[1])
    for start, size in spans:
        left = np.arange(MIN_SIDE, size - MIN_SIDE + 1.0)[:, None]
        # Both means apart, in sums: how far the sum on the left is from its share of the whole.
        whole = sums[start + size] - sums[start]
        apart = sums[start + MIN_SIDE : start + size - MIN_SIDE + 1] - sums[start] - (left / size) * whole
        np.abs(apart, out=apart)
        apart *= np.sqrt(size / (left * (size - left)))
        np.maximum(largest, apart.max(axis=0), out=largest)
    return largest
