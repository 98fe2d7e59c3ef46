"""Quantiles of weighted values: of histogram buckets, and of figures that stand for many requests each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def weighted_quantile(
    values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], level: float
) -> float | None:
    """The least value that at least a share `level` of the weight does not exceed; None without weight."""
    keep = (weights > 0) & np.isfinite(values)
    values, weights = values[keep], weights[keep]
    if not values.size:
        return None
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    place = int(np.searchsorted(reached, level * reached[-1] * (1 - 1e-12)))
    return float(values[order][min(place, values.size - 1)])
