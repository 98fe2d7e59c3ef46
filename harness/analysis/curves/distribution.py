"""The distribution of a cell: at every quantile the median over its runs, and how far the runs lie apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.analysis.compare import Factors
from harness.analysis.curves.gather import RunShape
from harness.analysis.curves.reduce import Floats
from harness.tables.cells import Cell
from harness.tables.source import Source


@dataclass(frozen=True)
class Curve:
    """One cell's distribution on reduce.GRID, in us; NaN where fewer than half of the runs reach.

    median_us: over the runs, so that it passes through the medians that tables show; low_us, high_us: the least and
    the greatest of the runs; firm: points, from the first, with enough samples beyond in half of the runs.
    """

    case: str
    factors: Factors
    runs: int
    answered: int
    lost: int
    median_us: Floats
    low_us: Floats
    high_us: Floats
    firm: int


def curves(source: Source, cells: list[Cell], shapes: Mapping[str, RunShape]) -> list[Curve]:
    """A curve for every cell that has a valid run with samples."""
    ids = source.runs["run_id"].to_numpy() if "run_id" in source.runs.columns else None
    drawn = []
    for cell in cells:
        if ids is None:
            break
        mine = [
            shapes[name] for name in map(str, ids[cell.valid]) if name in shapes and shapes[name].answered
        ]
        if mine:
            drawn.append(_curve(cell, mine))
    return drawn


def _curve(cell: Cell, runs: list[RunShape]) -> Curve:
    stack = np.stack([run.quantiles_us for run in runs])
    reached = np.isfinite(stack).sum(axis=0) * 2 >= len(runs)
    median, low, high = (np.full(stack.shape[1], np.nan) for _ in range(3))
    median[reached] = np.nanmedian(stack[:, reached], axis=0)
    low[reached], high[reached] = np.nanmin(stack[:, reached], axis=0), np.nanmax(stack[:, reached], axis=0)
    return Curve(
        case=cell.case,
        factors=cell.factors,
        runs=len(runs),
        answered=sum(run.answered for run in runs),
        lost=sum(run.lost for run in runs),
        median_us=median,
        low_us=low,
        high_us=high,
        firm=int(np.median([run.firm for run in runs])),
    )
