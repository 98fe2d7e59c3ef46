"""Charts as scales and marks in units of the data; report/html/svg.py and report/figures/ only draw them."""

from __future__ import annotations

from harness.report.charts.model import Band, Chart, Dot, Losses, Needles, Peak, Polyline, Series

__all__ = ["Band", "Chart", "Dot", "Losses", "Needles", "Peak", "Polyline", "Series"]
