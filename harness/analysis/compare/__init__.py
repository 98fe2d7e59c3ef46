"""Runs against runs: per cell and metric both medians, their effect with an interval, and what it shows."""

from __future__ import annotations

from harness.analysis.compare.change import change, why_not_valid
from harness.analysis.compare.choose import DEFAULT_METRICS
from harness.analysis.compare.environment import EnvironmentDifference
from harness.analysis.compare.model import Change, Comparison, Factors, Input, Options, OutlierRun, Row, Side
from harness.analysis.compare.pairing import paired_values
from harness.analysis.compare.sources import compare_cases, compare_sources, count_verdicts

__all__ = [
    "DEFAULT_METRICS",
    "Change",
    "Comparison",
    "EnvironmentDifference",
    "Factors",
    "Input",
    "Options",
    "OutlierRun",
    "Row",
    "Side",
    "change",
    "compare_cases",
    "compare_sources",
    "count_verdicts",
    "paired_values",
    "why_not_valid",
]
