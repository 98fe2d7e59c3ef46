"""Charts as scales and marks in units of the data; report/html/svg.py and report/figures/ only draw them."""

from __future__ import annotations

from harness.report.charts.model import Band, Chart, Dot, Line, Losses, Needles, Peak, Series

__all__ = ["Band", "Chart", "Dot", "Line", "Losses", "Needles", "Peak", "Series"]
