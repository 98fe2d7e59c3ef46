"""Charts as data: what each kind of figure shows, computed once, drawn as HTML by report and on paper by matplotlib."""

from __future__ import annotations

from harness.analysis.curves.cells import HeatMap, LoadCurves, Trade, heat_map, load_curves, trades
from harness.analysis.curves.distribution import Curve, curves, curves_of
from harness.analysis.curves.gather import RunShape, Study, load_study, narrowed, shapes, typical_runs
from harness.analysis.curves.palette import Mark, marks
from harness.analysis.curves.reduce import ecdf

__all__ = [
    "Curve",
    "HeatMap",
    "LoadCurves",
    "Mark",
    "RunShape",
    "Study",
    "Trade",
    "curves",
    "curves_of",
    "ecdf",
    "heat_map",
    "load_curves",
    "load_study",
    "marks",
    "narrowed",
    "shapes",
    "trades",
    "typical_runs",
]
