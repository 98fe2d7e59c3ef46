"""One row per cell: how many runs of which verdict, and the median of each main metric with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness import columns, stats
from harness.tables.cells import SummaryCell, factor_columns, group_cells
from harness.tables.tails import whole_tails

_Row = dict[str, str | float | None]


def summary_frame(runs: pd.DataFrame, by: Sequence[str] | None = None) -> pd.DataFrame:
    """The summary table of a runs table; medians and intervals are over the valid runs of each cell.

    The interval is one of order statistics; `_confidence_percent` is the confidence it really has, which is
    below 95 % for 3 to 5 runs. Fewer than three values: median and count, no interval.
    """
    cells = group_cells(runs, by) if len(runs) else []
    runs = whole_tails(runs, cells)
    factors = factor_columns(runs) if by is None else list(by)
    metrics = [column.name for column in columns.MAIN_METRICS if column.name in runs.columns]
    rows = [_row(runs, cell, metrics) for cell in cells]
    names = ["case", *factors, *(column.name for column in columns.CELL_COUNTS)]
    names += [name + suffix for name in metrics for suffix, _ in columns.SUMMARY_PARTS]
    return pd.DataFrame({name: _series([row.get(name) for row in rows], name, factors) for name in names})


def _series(values: list[Any], name: str, factors: list[str]) -> Any:
    return pd.array(values, dtype="str" if name == "case" or name in factors else "float64")


def _row(runs: pd.DataFrame, cell: SummaryCell, metrics: list[str]) -> _Row:
    row: _Row = {"case": cell.case, **dict(cell.factors), "n_total": len(cell.rows)}
    row |= {f"n_{verdict}": count for verdict, count in cell.verdicts.items()}
    for name in metrics:
        estimate = stats.estimate(runs[name].to_numpy()[cell.valid])
        row |= {name: estimate.median, f"{name}_n": estimate.n}
        if interval := estimate.interval:
            row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
            row[f"{name}_confidence_percent"] = 100 * interval.confidence
    return row
