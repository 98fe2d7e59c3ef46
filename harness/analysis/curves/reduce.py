"""Millions of samples to a few hundred points that are exact: every point kept is one that was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.store.quantiles import GRID, MILLION, Ints, Quantiles, known

Floats = npt.NDArray[np.float64]

FIRM = 10
"""So many samples must be expected beyond a quantile for it to be drawn as firm; statistics has the same rule."""

_MOMENT_BITS = 40


def quantiles_us(quantiles: Quantiles) -> Floats:
    """The quantiles of a run at every point of GRID, in us; NaN where fewer than one sample lies beyond."""
    values = np.full(GRID.size, np.nan)
    values[known(quantiles.answered)] = quantiles.ns / 1e3
    return values


def firm_until(count: int) -> int:
    """How many points of GRID, from the first, have FIRM samples or more expected beyond them."""
    return int(np.count_nonzero((MILLION - GRID) * count >= FIRM * MILLION))


def ecdf(samples: npt.ArrayLike, limit: int = 2000) -> tuple[Ints, Floats]:
    """Values and the share of samples that did not exceed each, reduced to at most `limit` points.

    Every point is a sample at its true rank, so any quantile read off is exact at the points; least and greatest
    are kept, and the points lie denser towards the tail: a third even by rank, two thirds even by log of rank
    from the top. Negative samples (lost requests) are left out.
    """
    ordered = np.sort(np.asarray(samples, dtype=np.int64))
    ordered = ordered[ordered >= 0]
    count = int(ordered.size)
    if count > limit:
        body = np.linspace(0, count - 1, max(limit // 3, 2))
        tail = count - np.logspace(0, np.log10(count), max(limit - body.size, 2))
        ranks = np.unique(np.concatenate([body, tail]).astype(np.int64))
    else:
        ranks = np.arange(count)
    return ordered[ranks], (ranks + 1) / max(count, 1)


@dataclass(frozen=True)
class Timeline:
    """A run in even slices of time: median and greatest round trip (us, NaN without samples), and lost requests."""

    slice_s: float
    p50_us: Floats
    max_us: Floats
    lost: Ints


def timeline(intended_ns: Ints, latency_ns: Ints, slices: int) -> Timeline | None:
    """Slices by send time; the greatest of each slice is exact, so no hiccup disappears. None without samples."""
    if not intended_ns.size:
        return None
    end = max(int(intended_ns.max()), 1)
    place = np.minimum(np.maximum(intended_ns, 0) * slices // (end + 1), slices - 1)
    answered = latency_ns >= 0
    lost = np.bincount(place[~answered], minlength=slices).astype(np.int64)
    # Slice and time in one number: one sort then orders the samples within every slice.
    top = (1 << _MOMENT_BITS) - 1
    keys = np.sort((place[answered] << _MOMENT_BITS) | np.minimum(latency_ns[answered], top))
    counts = np.bincount(keys >> _MOMENT_BITS, minlength=slices)
    p50, most = np.full(slices, np.nan), np.full(slices, np.nan)
    there = np.flatnonzero(counts)
    last = np.cumsum(counts)[there] - 1
    middle = last - counts[there] // 2
    p50[there], most[there] = (keys[middle] & top) / 1e3, (keys[last] & top) / 1e3
    return Timeline((end + 1) / 1e9 / slices, p50, most, lost)
