"""Rows of a runs table gathered into cells, one case under one combination of factors, and a summary of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness import columns, stats
from harness.columns import BY_NAME, VERDICTS
from harness.errors import InputError

_TAIL = re.compile(r"(rtt|service|oneway)_(p\d+(_\d+)?|jitter)_us")


@dataclass(frozen=True)
class SummaryCell:
    """One case under one combination of factors, and where its rows are in the runs table.

    factors: name and value as text, in column order. rows: all rows; valid: those that count,
    whose verdict is valid or was asked to be included.
    """

    case: str
    factors: tuple[tuple[str, str], ...]
    rows: npt.NDArray[np.intp]
    valid: npt.NDArray[np.intp]
    verdicts: dict[str, int]


def factor_columns(runs: pd.DataFrame) -> list[str]:
    """The columns that were varied: of those that are not in the list of ours, the texts; numbers are figures.

    A name with a dot is a key of an experiment file, and so varied whatever it holds.
    """
    return [str(name) for name in runs.columns if is_varied(runs, str(name))]


def is_varied(runs: pd.DataFrame, name: str) -> bool:
    """Is this column of a runs table a factor?"""
    if name in BY_NAME:
        return False
    return not pd.api.types.is_numeric_dtype(runs[name].dtype) or "." in name


NEVER_POOLED = (
    "workload_kind",
    "workload_mode",
    "workload_protocol",
    "workload_size_bytes",
    "workload_sizes",
    "workload_response_sizes",
    "workload_loop",
    "workload_rate_rps",
    "workload_arrivals",
    "workload_depth",
    "workload_connections",
    "workload_threads",
    "contention_kind",
    "contention_threads",
    "contention_load_percent",
)
"""Columns whose values make another measurement of a run: those of two are not runs of one cell."""


def split_columns(runs: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """The columns of NEVER_POOLED that differ within a cell where `names` tell cells apart."""
    several = [
        name for name in NEVER_POOLED if name in runs.columns and name not in names and _named(runs[name]).nunique() > 1
    ]
    if not several:
        return []
    codes = _codes(runs, ["case", *names])
    return [name for name in several if bool((_named(runs[name]).groupby(codes).nunique() > 1).any())]


def _named(values: pd.Series) -> pd.Series:
    """The values of a column with those that are blank, and so say nothing, as missing."""
    return values if pd.api.types.is_numeric_dtype(values.dtype) else values.where(values != "")


def group_cells(runs: pd.DataFrame, by: Sequence[str] | None = None, include: Sequence[str] = ()) -> list[SummaryCell]:
    """The cells of a runs table in the order in which they are first met.

    by: the columns to tell cells apart by, beside the case; default every factor, and what `split_columns` names.
    include: verdicts that count as valid does. A table without a verdict column holds valid runs only. Raises
    InputError for a column that is not there.
    """
    if by is None:
        names = factor_columns(runs)
        names += split_columns(runs, names)
    else:
        names = [name for name in by if name != "case"]
    for name in names:
        if name not in runs.columns:
            raise InputError("group runs", on=f"column {name}", got="there is no such column")
    if not len(runs):
        return []
    keys = ["case", *names]
    codes = _codes(runs, keys)
    # A stable order: a cell's first row stays its first.
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    firsts = runs[keys].iloc[[rows[0] for rows in groups]]
    texts = zip(*(map(_text, firsts[key]) for key in keys), strict=True)
    verdicts = _verdict_codes(runs)
    counted = np.isin(verdicts, [VERDICTS.index(name) for name in ("valid", *include)])
    cells = []
    for rows, (case, *values) in zip(groups, texts, strict=True):
        counts = np.bincount(verdicts[rows], minlength=len(VERDICTS)).tolist()
        by_verdict = dict(zip(VERDICTS, counts, strict=True))
        factors = tuple(zip(names, values, strict=True))
        cells.append(SummaryCell(case, factors, rows, rows[counted[rows]], by_verdict))
    return sorted(cells, key=lambda cell: int(cell.rows[0]))


def _codes(runs: pd.DataFrame, keys: list[str]) -> npt.NDArray[np.intp]:
    """A number for every row, equal for rows of one cell."""
    return np.asarray(runs.groupby(keys, sort=False, dropna=False).ngroup(), dtype=np.intp)


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.15g}"
    return str(value)


def _verdict_codes(runs: pd.DataFrame) -> npt.NDArray[np.int64]:
    if "verdict" not in runs.columns:
        return np.zeros(len(runs), dtype=np.int64)
    # Blank means that nobody judged the run, which is how hand-made tables have it.
    codes = {"": 0} | {name: code for code, name in enumerate(VERDICTS)}
    places, names = pd.factorize(runs["verdict"])
    return np.array([codes[name] for name in names], dtype=np.int64)[places]


def is_tail(name: str) -> bool:
    """Is this metric a quantile that a run with few requests does not have?"""
    return _TAIL.fullmatch(name) is not None


def whole_tails(runs: pd.DataFrame, cells: Iterable[SummaryCell]) -> pd.DataFrame:
    """The runs table with a tail quantile blank in all counted runs of a cell, where it is blank in one of them.

    A run has no p99.9 when it had too few requests, which are the slow runs: the median over the others would be of the
    fast ones, and could even lie below the p99.
    """
    counted = [cell.valid for cell in cells]
    for name in filter(is_tail, map(str, runs.columns)):
        values = runs[name].to_numpy(dtype=np.float64, copy=True)
        if np.isnan(values).any():
            for rows in counted:
                values[rows] = np.nan if np.isnan(values[rows]).any() else values[rows]
            runs = runs.assign(**{name: values})
    return runs


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
    dtypes: dict[str, Any] = dict.fromkeys(names, "float64") | dict.fromkeys(("case", *factors), "str")
    return pd.DataFrame({name: pd.array([row.get(name) for row in rows], dtype=dtypes[name]) for name in names})


def _row(runs: pd.DataFrame, cell: SummaryCell, metrics: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"case": cell.case, **dict(cell.factors), "n_total": len(cell.rows)}
    row |= {f"n_{verdict}": count for verdict, count in cell.verdicts.items()}
    for name in metrics:
        estimate = stats.estimate(runs[name].to_numpy()[cell.valid])
        row |= {name: estimate.median, f"{name}_n": estimate.n}
        if interval := estimate.interval:
            row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
            row[f"{name}_confidence_percent"] = 100 * interval.confidence
    return row
