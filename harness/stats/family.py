"""Many tests at once, and shares counted: Holm's correction and exact intervals of a share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from harness.stats.runs import CONFIDENCE, Interval


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for being one family: with these the chance of any false claim stays at the level."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, at in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        highest = max(highest, min(1.0, p_values[at] * (len(p_values) - place)))
        adjusted[at] = highest
    return adjusted


def share_interval(hits: int, trials: int) -> Interval:
    """The exact (Clopper-Pearson) interval of a share of which `hits` of `trials` were counted."""
    tail = (1.0 - CONFIDENCE) / 2.0
    low = 0.0 if hits == 0 else solve(lambda share: 1.0 - _at_most(hits - 1, trials, share), tail)
    high = 1.0 if hits == trials else 1.0 - solve(lambda rest: _at_most(hits, trials, 1.0 - rest), tail)
    return Interval(low, high, CONFIDENCE)


def solve(rising: Callable[[float], float], level: float) -> float:
    """The share at which a function that rises with it reaches `level`."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        if rising(middle) < level:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def _at_most(hits: int, trials: int, share: float) -> float:
    """The chance of at most `hits` in `trials`."""
    if share <= 0.0:
        return 1.0
    if share >= 1.0:
        return 1.0 if hits >= trials else 0.0
    log_yes, log_no, log_all = math.log(share), math.log1p(-share), math.lgamma(trials + 1)
    chance = 0.0
    for count in range(hits + 1):
        log_ways = log_all - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
        chance += math.exp(log_ways + count * log_yes + (trials - count) * log_no)
    return min(1.0, chance)
