"""Latencies as other programs summarise them, as our columns: which unit, which basis, and which are to be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from harness.formats.model import Basis, Result
from harness.formats.text import plain

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LEVELS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999, "p99_99": 0.9999}
"""Names and shares of the quantiles that have columns."""

UNITS_US = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
"""Microseconds in one unit of time."""

MAX_ERROR_SHARE = 0.001
"""Suspect beyond this share of requests without a good answer."""

MIN_EXCEEDANCES = 10
"""As in harness.stats, which lies no lower; a test compares the two."""

_BASES = {
    "rtt": "rtt",
    "half-rtt": "half round trip, doubled",
    "one-way": "one way",
    "wakeup": "timer to wake-up",
    "io": "storage request",
}
_PREFIXES = {"one-way": "oneway", "wakeup": "wakeup", "io": "io"}
Measured = Basis | Literal["wakeup", "io"]
"""What a latency is: of the network, or how late a thread woke after its timer, or of a request to a disk."""


def put_latencies(result: Result, values: Mapping[str, float | None], basis: Measured, requests: float | None) -> None:
    """Write latency columns. values: in us, by min, mean, sd, p50... max; as recorded, not doubled yet.

    Half round trips are doubled. One-way times get columns of their own, `oneway_*`, and so do other latencies: none is
    ever compared with round trips. A quantile with fewer than 10 requests expected beyond it is blank, as in our own
    runs.
    """
    factor = 2.0 if basis == "half-rtt" else 1.0
    prefix = _PREFIXES.get(basis, "rtt")
    known = {name: value * factor for name, value in values.items() if value is not None and math.isfinite(value)}
    for name, level in LEVELS.items():
        if requests is not None and round(requests * (1 - level), 6) < MIN_EXCEEDANCES and name in known:
            why = f"fewer than {MIN_EXCEEDANCES} of {requests:,.0f} requests lie beyond it"
            result.left_out.append(f"{prefix}_{name}_us {known.pop(name):g}: {why}")
    result.metrics |= {f"{prefix}_{name}_us": value for name, value in known.items()}
    if "p99_9" in known and "p50" in known:
        result.metrics[f"{prefix}_jitter_us"] = known["p99_9"] - known["p50"]
    result.environment["latency_basis"] = _BASES[basis]


def count_errors(result: Result, errors: Mapping[str, float], requests: float | None, alone: bool = False) -> None:
    """Write how many answers were none, by kind; suspect beyond MAX_ERROR_SHARE, for latencies are also theirs.

    requests: all that were made, answered or not, None where that is not known; where none had a good answer, the run
    failed. alone: latencies are those of good answers only.
    """
    bad = sum(errors.values())
    result.metrics["errors"] = bad
    if bad and not (requests and bad <= MAX_ERROR_SHARE * requests):
        parts = ", ".join(f"{count:,.0f} {name}" for name, count in errors.items() if count)
        of_all = f" of {requests:,.0f} requests" if requests else ""
        none = bool(requests) and bad >= (requests or 0.0)
        why = "; none had a good answer" if none else "" if alone else "; latencies are also those of errors"
        (result.fail if none else result.doubt)(plain(f"{result.workload['kind']}: {parts}{of_all}{why}"))


def of_values(times: npt.NDArray[np.float64]) -> dict[str, float | None]:
    """min, mean, sd, quantiles and max of single latencies, in their unit; empty without any."""
    import numpy as np

    if not times.size:
        return {}
    values: dict[str, float | None] = {"min": float(times.min()), "mean": float(times.mean())}
    values |= {"sd": float(times.std()), "max": float(times.max())}
    return values | {name: weighted_quantile(times, np.ones(times.size), level) for name, level in LEVELS.items()}


def of_buckets(ends: Sequence[float], counts: Sequence[float], beyond: float = 0.0) -> dict[str, float | None]:
    """Quantiles of a histogram: the upper ends of its buckets. beyond: how many lie above all of them, nobody knows
    where; a quantile among these is blank.
    """
    import numpy as np

    values = np.append(np.asarray(ends, dtype=np.float64), 1e300)
    weights = np.append(np.asarray(counts, dtype=np.float64), beyond)
    quantiles = {name: weighted_quantile(values, weights, level) for name, level in LEVELS.items()}
    return {name: None if value is None or value >= 1e300 else value for name, value in quantiles.items()}


def level_named(percent: float | None) -> str:
    """Our name of the quantile at a level in percent; "" where it has no column."""
    return next(
        (name for name, share in LEVELS.items() if percent is not None and abs(share - percent / 100) < 1e-9), ""
    )


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
