"""The distribution of a cell: at every quantile the median over its runs, and how far the runs lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.compare import Factors
from harness.analysis.curves.gather import RunShape, Study, shapes
from harness.analysis.curves.reduce import Floats
from harness.tables.cells import SummaryCell
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


def curves(source: Source, cells: Sequence[SummaryCell], by_run: Mapping[str, RunShape]) -> dict[Factors, list[Curve]]:
    """A curve for every cell that has a valid run with samples, by the cells' factors. by_run: shapes by run id."""
    drawn: dict[Factors, list[Curve]] = {}
    if "run_id" not in source.runs.columns:
        return drawn
    ids = source.runs["run_id"].to_numpy()
    for cell in cells:
        mine = [by_run[name] for name in map(str, ids[cell.valid]) if name in by_run and by_run[name].answered]
        if mine:
            drawn.setdefault(cell.factors, []).append(_curve(cell, mine))
    return drawn


def curves_of(study: Study, cells: Sequence[SummaryCell]) -> dict[Factors, list[Curve]]:
    """The same from the samples of the cells' valid runs, which are read here; none for a study without samples."""
    runs = study.source.runs
    if study.results is None or "run_id" not in runs:
        return {}
    ids = [str(runs["run_id"].iloc[row]) for cell in cells for row in cell.valid]
    return curves(study.source, cells, {shape.run_id: shape for shape in shapes(study, ids)})


def _curve(cell: SummaryCell, runs: list[RunShape]) -> Curve:
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
