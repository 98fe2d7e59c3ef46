"""One run's samples to its quantiles: nearest rank, and blank where too few samples lie beyond."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MIN_EXCEEDANCES = 10
"""A quantile is blank unless at least this many samples are expected to lie above it."""

# Parts in ten thousand, because 10000 * (1 - 0.999) is less than 10 in floating point.
_QUANTILES = (
    ("rtt_p50_us", 5000),
    ("rtt_p90_us", 9000),
    ("rtt_p95_us", 9500),
    ("rtt_p99_us", 9900),
    ("rtt_p99_9_us", 9990),
    ("rtt_p99_99_us", 9999),
)


def summarise(latency_ns: npt.ArrayLike) -> dict[str, float | None]:
    """One run's round-trip times (ns, lost requests as -1 left out) as the `rtt_*_us` columns, in us.

    A quantile q is the smallest recorded time that at least a share q of the answered requests did not exceed
    (nearest rank: always a time that happened, never an interpolation). It is None when fewer than
    MIN_EXCEEDANCES samples are expected beyond it, n * (1 - q) < 10. No samples at all: every column is None.
    """
    samples = np.asarray(latency_ns, dtype=np.int64)
    answered = samples[samples >= 0]
    count = int(answered.size)
    columns: dict[str, float | None] = dict.fromkeys(
        ("rtt_min_us", "rtt_mean_us", "rtt_sd_us", *(name for name, _ in _QUANTILES), "rtt_max_us", "rtt_jitter_us")
    )
    if count == 0:
        return columns
    places = {
        name: -(-count * per_myriad // 10_000) - 1
        for name, per_myriad in _QUANTILES
        if count * (10_000 - per_myriad) >= MIN_EXCEEDANCES * 10_000
    }
    places |= {"rtt_min_us": 0, "rtt_max_us": count - 1}
    # Only these are put in their places: to sort them all takes four times as long, between runs.
    ordered = np.partition(answered, sorted(set(places.values())))
    columns |= {name: float(ordered[place]) / 1e3 for name, place in places.items()}
    columns["rtt_mean_us"] = float(answered.mean()) / 1e3
    if count > 1:
        columns["rtt_sd_us"] = float(answered.std(ddof=1)) / 1e3
    median, tail = columns["rtt_p50_us"], columns["rtt_p99_9_us"]
    if median is not None and tail is not None:
        columns["rtt_jitter_us"] = tail - median
    return columns
