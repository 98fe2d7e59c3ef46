"""Runs that resemble the runs before them: how much, over all comparisons of a page, and whether that is chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from harness.stats.runs import Floats

MIN_RUNS_CHAIN = 5
"""Fewer runs have no order to speak of."""

LEVEL = 0.05
"""How often runs in no particular order are said to have one."""

_SHUFFLES = 200
_AT_ONCE = 25
_MOST_VALUES = 10_000
_MOST_LAG = 0.9
_SEED = 1


def chained(series: Sequence[Floats]) -> float:
    """The correlation of a run with the one before it, of all series together; 0 where it may be chance.

    series: values in the order of their runs. Tested by shuffling the order, the same for all series, since those of
    one page share runs. Only positive correlation counts, for only that makes intervals too narrow; at most 0.9.
    """
    sizes = Counter(each.size for each in series if each.size >= MIN_RUNS_CHAIN)
    if not sizes:
        return 0.0
    size = max(sizes, key=lambda size: (sizes[size], size))
    alike = [each[:_MOST_VALUES] for each in series if each.size == size]
    table = np.stack(alike[: max(1, _MOST_VALUES // size)])
    table = table - table.mean(axis=1, keepdims=True)
    squares = (table**2).sum(axis=1, keepdims=True)
    varied = squares[:, 0] > 0
    if not varied.any():
        return 0.0
    table = table[varied] / np.sqrt(squares[varied])
    places = np.tile(np.arange(table.shape[1]), (_AT_ONCE, 1))
    draw, found, as_far = np.random.default_rng((_SEED, size)), float(_lags(table)), 1
    for _ in range(_SHUFFLES // _AT_ONCE):
        # Of runs in no order, which most are, the first few shuffles tell.
        as_far += int((_lags(table[:, draw.permuted(places, axis=1)]) >= found).sum())
        if as_far > LEVEL * (_SHUFFLES + 1):
            return 0.0
    # About a mean that they made themselves, n values correlate less: by 1 / n, and by 3 / n of what there is.
    return float(min(_MOST_LAG, max(0.0, (found + 1 / size) / (1 - 3 / size))))


def variance_factor(lag: float, count: int) -> float:
    """How many times its usual estimate the variance of a mean of so many chained values is (AR(1))."""
    steps = np.arange(1, count)
    factor = 1 + 2 * float(((1 - steps / count) * lag**steps).sum())
    # The spread that is seen is too small as well.
    return factor / max(1 - (factor - 1) / (count - 1), 0.1)


def _lags(tables: Floats) -> Floats:
    """The mean over the first axis of the correlation of the last, of length 1 about 0, with itself one place on."""
    return np.asarray((tables[..., 1:] * tables[..., :-1]).sum(axis=-1).mean(axis=0))
