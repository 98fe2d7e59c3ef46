"""How many runs a side would need for an interval of a given width, from the variability seen."""

from __future__ import annotations

import math

import numpy as np

from harness.stats.effect import MIN_BLOCKS_RATIO, MIN_RUNS_RATIO, Ratio
from harness.stats.runs import Floats

# Half of a 95 % interval in standard errors; and a median's standard error against that of a mean.
_NORMAL_95 = 1.96
_MEDIAN_TO_MEAN = math.sqrt(math.pi / 2)

MOST = 1_000_000


def runs_needed(base: Floats, test: Floats, ratio: Ratio | None, width: float) -> int | None:
    """Runs a side for the ratio's interval to be about +- `width` (0.05 is 5 %); None when nothing tells.

    An interval narrows with the square root of the runs. From the interval there is, or without one from
    the spread of the runs as if they were log-normal. Never below what any claim needs.
    """
    count = min(base.size, test.size)
    least = MIN_BLOCKS_RATIO if ratio is not None and ratio.paired else MIN_RUNS_RATIO
    if ratio is None or not count:
        return least if count < least else None
    if ratio.interval is not None:
        half = math.log(ratio.interval.high / ratio.interval.low) / 2.0
        needed = count * (half / math.log1p(width)) ** 2
    elif count < 2:
        return least
    else:
        spread = math.hypot(*(float(np.log(side).std(ddof=1)) for side in (base, test)))
        needed = (_NORMAL_95 * _MEDIAN_TO_MEAN * spread / math.log1p(width)) ** 2
    return max(least, math.ceil(min(needed, MOST)))
