"""Student's t distribution: the chance within +-t, and the t that a chance asks for."""

from __future__ import annotations

import math
from functools import lru_cache

from harness.stats.family import solve

MOST_FREEDOM = 200
"""More degrees of freedom are taken for so many: quantiles are then up to 2 % too large, which is the safe side."""

_EACH = 30
"""Above, degrees of freedom are rounded down to tens: few quantiles are ever computed, and none is too small."""


def within(t: float, freedom: int) -> float:
    """The chance that |T| is at most `t`, with so many degrees of freedom (from 1; whole, for then it is a finite sum).

    Abramowitz and Stegun, 26.7.3 and 26.7.4.
    """
    angle = math.atan2(t, math.sqrt(freedom))
    cosine = math.cos(angle)
    odd = freedom % 2 == 1
    term = 1.0 if not odd else cosine if freedom > 1 else 0.0
    total = term
    for step in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine * cosine * (step - 1) / step
        total += term
    share = math.sin(angle) * total
    return 2 / math.pi * (angle + share) if odd else share


def quantile(confidence: float, freedom: int) -> float:
    """The t that |T| does not exceed with this chance (0 to below 1)."""
    freedom = min(freedom, MOST_FREEDOM)
    return _quantile(confidence, freedom if freedom <= _EACH else freedom // 10 * 10)


@lru_cache(maxsize=4096)
def _quantile(confidence: float, freedom: int) -> float:
    reached = solve(lambda share: within(share / (1 - share), freedom) if share < 1 else 1.0, confidence)
    return reached / (1 - reached)
