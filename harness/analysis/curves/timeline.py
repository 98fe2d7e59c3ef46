"""Which run's time series stands for a cell: the one whose p99 is nearest to the cell's median."""

from __future__ import annotations

import numpy as np

from harness.analysis.compare import Factors
from harness.tables.cells import Cell
from harness.tables.source import Source


def typical_runs(source: Source, cells: list[Cell]) -> dict[tuple[str, Factors], str]:
    """Per cell the valid run nearest to the median p99 (p50 where p99 is blank); the earlier one of two."""
    runs = source.runs
    if "run_id" not in runs.columns:
        return {}
    typical = {}
    for cell in cells:
        for name in ("rtt_p99_us", "rtt_p50_us"):
            values = (
                runs[name].to_numpy(dtype=np.float64)[cell.valid] if name in runs.columns else np.empty(0)
            )
            if np.isfinite(values).any():
                away = np.abs(values - np.nanmedian(values))
                typical[cell.case, cell.factors] = str(
                    runs["run_id"].iloc[cell.valid[int(np.nanargmin(away))]]
                )
                break
    return typical
