"""Quantiles against a swept number: one line per case, one panel per combination of the other factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.compare import Factors
from harness.analysis.curves.factors import NumericFactor, axes, without
from harness.analysis.summary import CellView
from harness.stats import Estimate

QUANTILES = ("rtt_p50_us", "rtt_p99_us", "rtt_p99_9_us")


@dataclass(frozen=True)
class LoadCurves:
    """The factor on the x axis, and per panel (other factors) and case the estimates at each of its values."""

    axis: NumericFactor
    panels: dict[Factors, dict[str, list[tuple[float, CellView]]]]

    def estimates(self, panel: Factors, case: str, metric: str) -> list[tuple[float, Estimate]]:
        """Points of one line: the factor's number and the estimate there, where there is one."""
        points = [(x, view.estimates.get(metric)) for x, view in self.panels[panel].get(case, [])]
        return [
            (x, estimate) for x, estimate in points if estimate is not None and estimate.median is not None
        ]


def load_curves(views: Sequence[CellView], *, least: int = 3, any_number: bool = True) -> LoadCurves | None:
    """The load chart of these cells; None when no factor of `least` values was swept that fits.

    any_number: another swept number (a time, a size) will do when there is none that stands for load.
    """
    factors = [axis for axis in axes(views, least) if any_number or axis.load_like]
    if not factors:
        return None
    axis = factors[0]
    panels: dict[Factors, dict[str, list[tuple[float, CellView]]]] = {}
    for view in views:
        value = dict(view.factors).get(axis.name)
        if value is None:
            continue
        lines = panels.setdefault(without(view.factors, axis.name), {})
        lines.setdefault(view.case, []).append((axis.numbers[value], view))
    for lines in panels.values():
        for points in lines.values():
            points.sort(key=lambda point: point[0])
    return LoadCurves(axis, panels)
