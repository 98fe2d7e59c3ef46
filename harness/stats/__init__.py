"""Quantiles, effects, tests, conditions, the stopping rule; imports numpy alone."""

from __future__ import annotations

from harness.stats.chain import chained
from harness.stats.condition import Condition
from harness.stats.contrast import Contrast
from harness.stats.effect import MIN_BLOCKS_RATIO, MIN_RUNS_RATIO, Difference, Effect, Ratio, effect, ratio_interval
from harness.stats.family import holm, share_interval
from harness.stats.looks import Look, Looks, course, p_together, together
from harness.stats.needs import runs_needed
from harness.stats.outliers import Outlier, outliers
from harness.stats.ranks import RankTest, mann_whitney, rank_test, signed_rank
from harness.stats.runs import CONFIDENCE, Estimate, Interval, clean, estimate, estimate_sorted, median, median_interval
from harness.stats.samples import MIN_EXCEEDANCES, summarise

__all__ = [
    "CONFIDENCE",
    "MIN_BLOCKS_RATIO",
    "MIN_EXCEEDANCES",
    "MIN_RUNS_RATIO",
    "Condition",
    "Contrast",
    "Difference",
    "Effect",
    "Estimate",
    "Interval",
    "Look",
    "Looks",
    "Outlier",
    "RankTest",
    "Ratio",
    "chained",
    "clean",
    "course",
    "effect",
    "estimate",
    "estimate_sorted",
    "holm",
    "mann_whitney",
    "median",
    "median_interval",
    "outliers",
    "p_together",
    "rank_test",
    "ratio_interval",
    "runs_needed",
    "share_interval",
    "signed_rank",
    "summarise",
    "together",
]
