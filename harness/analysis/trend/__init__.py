"""Many result sets over time: a history for every cell and metric, and where it moves to another level."""

from __future__ import annotations

from harness.analysis.trend.judge import trend
from harness.analysis.trend.model import MOMENT, History, Moment, Shift, Trend

__all__ = ["MOMENT", "History", "Moment", "Shift", "Trend", "trend"]
