"""What A/A runs say: how often a difference is claimed where there is none, and the least that could be seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness import stats
from harness.analysis.compare import change, paired_values
from harness.analysis.compare.change import Floats
from harness.stats import Interval
from harness.tables.cells import SummaryCell, group_cells

NAMES = ("same-1", "same-2")
"""What the two cases of an A/A experiment are called."""

POWER = 0.8
"""How often the smallest effect that "can be detected" is detected."""

_DRAWS = 300
_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Noise:
    """One metric's noise over the cells of an A/A set.

    size: runs a side of each comparison; hits of `comparisons` claimed a difference, `rate` is the exact
    interval of that share; spread: robust standard deviation of runs as a share of the median, the noisiest
    cell's; least_effect: the smallest change (share) shown POWER of the time with `size` runs, in the noisiest
    cell; None where not even a hundredfold one would be, or there are too few blocks.
    """

    metric: str
    size: int
    blocks: int
    hits: int
    comparisons: int
    rate: Interval | None
    spread: float | None
    least_effect: float | None


def noise_of(runs: pd.DataFrame, metrics: Sequence[str], size: int, seed: int = 1) -> list[Noise]:
    """The noise of each metric that the runs of an A/A set have; comparisons are of `size` blocks each."""
    noises = []
    for name in metrics:
        tables = [pairs for pairs in _pairs(runs, name) if pairs.shape[1]]
        if tables:
            noises.append(_noise(name, tables, size, seed))
    return noises


def _pairs(runs: pd.DataFrame, name: str) -> Iterator[Floats]:
    """Per combination of factors the values of both names (2 x blocks), in the order of the blocks."""
    cells: dict[object, dict[str, SummaryCell]] = {}
    for cell in group_cells(runs):
        cells.setdefault(cell.factors, {})[cell.case] = cell
    for both in cells.values():
        if set(both) >= set(NAMES) and name in runs.columns:
            pairs = paired_values(runs, name, both[NAMES[0]], both[NAMES[1]])
            if pairs is not None:
                yield pairs


def _noise(name: str, tables: Sequence[Floats], size: int, seed: int) -> Noise:
    hits = comparisons = 0
    for pairs in tables:
        # Each block is used once: the comparisons are as independent as the blocks are.
        for start in range(0, pairs.shape[1] - size + 1, size):
            part = pairs[:, start : start + size]
            hits += change(name, part[0], part[1], pairs=part).outcome in ("lower", "higher")
            comparisons += 1
    effects = [_least_effect(pairs, size, seed) for pairs in tables]
    spreads = [spread for pairs in tables if (spread := _spread(pairs)) is not None]
    return Noise(
        metric=name,
        size=size,
        blocks=min(pairs.shape[1] for pairs in tables),
        hits=hits,
        comparisons=comparisons,
        rate=stats.share_interval(hits, comparisons) if comparisons else None,
        spread=max(spreads, default=None),
        least_effect=None if None in effects else max(effect for effect in effects if effect is not None),
    )


def _spread(pairs: Floats) -> float | None:
    values = pairs.ravel()
    median = float(np.median(values))
    return _MAD_TO_SD * float(np.median(np.abs(values - median))) / abs(median) if median else None


def _least_effect(pairs: Floats, size: int, seed: int) -> float | None:
    """The change that POWER of the comparisons of `size` random blocks would show.

    An interval scales with its test side, so the least change each draw would show follows from its lower
    end: low * (1 + change) > 1. Names are swapped at random within a block, which changes nothing if both
    are the same and takes out what made one of them look better here.
    """
    if pairs.shape[1] < size:
        return None
    draw = np.random.default_rng(seed)
    needed = []
    for _ in range(_DRAWS):
        part = pairs[:, draw.choice(pairs.shape[1], size, replace=False)]
        swap = draw.random(size) < 0.5
        base, test = np.where(swap, part[1], part[0]), np.where(swap, part[0], part[1])
        ratio = stats.ratio_interval(base, test, paired=size >= stats.MIN_BLOCKS_RATIO)
        if ratio is None or ratio.interval is None or ratio.contrast is None:
            return None
        low = min(ratio.interval.low, ratio.contrast.interval(stats.CONFIDENCE).low)
        needed.append(max(0.0, 1.0 / low - 1.0))
    least = float(np.quantile(needed, POWER))
    return least if least < 100 else None
