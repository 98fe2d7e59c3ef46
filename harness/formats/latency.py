"""Latencies as other programs summarise them, as our columns: which unit, which basis, and which are to be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.formats.model import Basis, Result

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LEVELS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999, "p99_99": 0.9999}
"""Names and shares of the quantiles that have columns."""

UNITS_US = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
"""Microseconds in one unit of time."""

MIN_EXCEEDANCES = 10
"""As in harness.stats, which lies no lower; a test compares the two."""

_BASES = {"rtt": "rtt", "half-rtt": "half round trip, doubled", "one-way": "one way"}


def put_latencies(result: Result, values: Mapping[str, float | None], basis: Basis, requests: float | None) -> None:
    """Write latency columns. values: in us, by min, mean, sd, p50... max; as recorded, not doubled yet.

    Half round trips are doubled. One-way times get columns of their own, `oneway_*`, and are never compared
    with round trips. A quantile with fewer than 10 requests expected beyond it is blank, as in our own runs.
    """
    factor = 2.0 if basis == "half-rtt" else 1.0
    prefix = "oneway" if basis == "one-way" else "rtt"
    known = {name: value * factor for name, value in values.items() if value is not None and math.isfinite(value)}
    for name, level in LEVELS.items():
        if requests is not None and round(requests * (1 - level), 6) < MIN_EXCEEDANCES:
            known.pop(name, None)
    result.metrics |= {f"{prefix}_{name}_us": value for name, value in known.items()}
    if "p99_9" in known and "p50" in known:
        result.metrics[f"{prefix}_jitter_us"] = known["p99_9"] - known["p50"]
    result.environment["latency_basis"] = _BASES[basis]


def weighted_quantile(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], level: float) -> float | None:
    """The least value that at least a share `level` of the weight does not exceed; None without weight."""
    import numpy as np

    keep = (weights > 0) & np.isfinite(values)
    values, weights = values[keep], weights[keep]
    if not values.size:
        return None
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    place = int(np.searchsorted(reached, level * reached[-1] * (1 - 1e-12)))
    return float(values[order][min(place, values.size - 1)])
