"""Charts as data: what each kind of figure shows, computed once, drawn as HTML by report and on paper by matplotlib."""

from __future__ import annotations

from harness.analysis.curves.distribution import Curve, curves
from harness.analysis.curves.gather import RunShape, Study, load_study, shapes
from harness.analysis.curves.heat import HeatMap, heat_map
from harness.analysis.curves.load import LoadCurves, load_curves
from harness.analysis.curves.palette import Mark, marks
from harness.analysis.curves.pareto import Trade, trades
from harness.analysis.curves.reduce import ecdf
from harness.analysis.curves.timeline import typical_runs

__all__ = [
    "Curve",
    "HeatMap",
    "LoadCurves",
    "Mark",
    "RunShape",
    "Study",
    "Trade",
    "curves",
    "ecdf",
    "heat_map",
    "load_curves",
    "load_study",
    "marks",
    "shapes",
    "trades",
    "typical_runs",
]
