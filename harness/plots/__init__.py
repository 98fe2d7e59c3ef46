"""Charts as data: what each kind of figure shows, computed once, drawn as HTML by report and on paper by matplotlib."""

from __future__ import annotations

from harness.plots.distribution import Curve, curves
from harness.plots.gather import RunShape, Study, load_study, shapes
from harness.plots.heat import HeatMap, heat_map
from harness.plots.load import LoadCurves, load_curves
from harness.plots.palette import Mark, marks
from harness.plots.pareto import Trade, trades
from harness.plots.reduce import ecdf
from harness.plots.timeline import typical_runs

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
