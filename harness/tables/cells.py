"""Rows of a runs table gathered into cells, one case under one combination of factors, and a summary of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness import columns, stats
from harness.columns import BY_NAME, VERDICTS
from harness.errors import InputError
from harness.tables.columnar import Codes, Numbers, Table, table_of

if TYPE_CHECKING:
    import pandas as pd

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


def factor_columns(runs: Table | pd.DataFrame) -> list[str]:
    """The columns that were varied: of those that are not in the list of ours, the texts; numbers are figures.

    A name with a dot is a key of an experiment file, and so varied whatever it holds.
    """
    table = table_of(runs)
    return [name for name in table.names if is_varied(table, name)]


def is_varied(table: Table, name: str) -> bool:
    """Is this column of a runs table a factor?"""
    return name not in BY_NAME and ("." in name or not table[name].numeric)


NEVER_POOLED = (
    "workload_kind",
    "workload_mode",
    "workload_timed",
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


def split_columns(table: Table, names: Sequence[str]) -> list[str]:
    """The columns of NEVER_POOLED that differ within a cell where `names` tell cells apart."""
    several = [name for name in NEVER_POOLED if name in table and name not in names and not table[name].alike()]
    if not several:
        return []
    codes = table.groups(["case", *names])
    return [name for name in several if _differs(table, name, codes)]


def _differs(table: Table, name: str, codes: Codes) -> bool:
    """Has any group two values of this column, blank ones, which say nothing, left out?"""
    there = ~table[name].blank()
    values, groups = table[name].codes[there], codes[there]
    firsts = np.full(int(groups.max(initial=-1)) + 1, -1, dtype=np.intp)
    firsts[groups] = values
    return bool((firsts[groups] != values).any())


def group_cells(
    runs: Table | pd.DataFrame, by: Sequence[str] | None = None, include: Sequence[str] = ()
) -> list[SummaryCell]:
    """The cells of a runs table in the order in which they are first met.

    by: the columns to tell cells apart by, beside the case; default every factor, and what `split_columns` names.
    include: verdicts that count as valid does. A table without a verdict column holds valid runs only. Raises
    InputError for a column that is not there.
    """
    table = table_of(runs)
    if by is None:
        names = factor_columns(table)
        names += split_columns(table, names)
    else:
        names = [name for name in by if name != "case"]
    for name in names:
        if name not in table:
            raise InputError("group runs", on=f"column {name}", got="there is no such column")
    if not len(table):
        return []
    keys = ["case", *names]
    codes = table.groups(keys)
    # A stable order: a cell's first row stays its first.
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    firsts = table.take(np.array([rows[0] for rows in groups], dtype=np.intp))
    texts = zip(*(firsts.texts(key).rows().tolist() for key in keys), strict=True)
    verdicts = _verdict_codes(table)
    counted = np.isin(verdicts, [VERDICTS.index(name) for name in ("valid", *include)])
    cells = []
    for rows, (case, *values) in zip(groups, texts, strict=True):
        counts = np.bincount(verdicts[rows], minlength=len(VERDICTS)).tolist()
        by_verdict = dict(zip(VERDICTS, counts, strict=True))
        factors = tuple(zip(names, values, strict=True))
        cells.append(SummaryCell(case, factors, rows, rows[counted[rows]], by_verdict))
    return sorted(cells, key=lambda cell: int(cell.rows[0]))


def made_again(table: Table, rows: npt.NDArray[np.intp] | None = None) -> int:
    """How many attempts beside the runs of a table (or these rows of it) were made and do not count."""
    attempts = table.floats("attempt")
    attempts = attempts if rows is None else attempts[rows]
    return int(np.nansum(np.maximum(attempts - 1, 0)))


def _verdict_codes(table: Table) -> npt.NDArray[np.int64]:
    if "verdict" not in table:
        return np.zeros(len(table), dtype=np.int64)
    # Blank means that nobody judged the run, which is how hand-made tables have it.
    codes = {"": 0} | {name: code for code, name in enumerate(VERDICTS)}
    # A text that no row has any more, such as a header that stood between rows, may be among the names.
    return table.texts("verdict").numbers(lambda name: codes.get(name, 0)).astype(np.int64)


def is_tail(name: str) -> bool:
    """Is this metric a quantile that a run with few requests does not have?"""
    return _TAIL.fullmatch(columns.of_workload(name)[1]) is not None


def whole_tails(runs: Table | pd.DataFrame, cells: Iterable[SummaryCell]) -> Table:
    """The runs table with a tail quantile blank in all counted runs of a cell, where it is blank in one of them.

    A run has no p99.9 when it had too few requests, which are the slow runs: the median over the others would be of the
    fast ones, and could even lie below the p99.
    """
    table, counted = table_of(runs), [cell.valid for cell in cells]
    for name in filter(is_tail, table.names):
        values = table.floats(name)
        if np.isnan(values).any():
            values = values.copy()
            for rows in counted:
                values[rows] = np.nan if np.isnan(values[rows]).any() else values[rows]
            table = table.assign({name: Numbers(values)})
    return table


def summary_frame(runs: pd.DataFrame, by: Sequence[str] | None = None) -> pd.DataFrame:
    """The summary table of a runs table; medians and intervals are over the valid runs of each cell.

    The interval is one of order statistics; `_confidence_percent` is the confidence it really has, which is
    below 95 % for 3 to 5 runs. Fewer than three values: median and count, no interval.
    """
    # Imported here: a comparison needs none of it.
    import pandas as pd

    cells = group_cells(runs, by) if len(runs) else []
    table = whole_tails(runs, cells)
    factors = factor_columns(table) if by is None else list(by)
    metrics = columns.main_of(table.names)
    rows = [_row(table, cell, metrics) for cell in cells]
    names = ["case", *factors, *(column.name for column in columns.CELL_COUNTS)]
    names += [name + suffix for name in metrics for suffix, _ in columns.SUMMARY_PARTS]
    dtypes: dict[str, Any] = dict.fromkeys(names, "float64") | dict.fromkeys(("case", *factors), "str")
    return pd.DataFrame({name: pd.array([row.get(name) for row in rows], dtype=dtypes[name]) for name in names})


def _row(table: Table, cell: SummaryCell, metrics: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"case": cell.case, **dict(cell.factors), "n_total": len(cell.rows)}
    row |= {f"n_{verdict}": count for verdict, count in cell.verdicts.items()}
    for name in metrics:
        estimate = stats.estimate(table.floats(name)[cell.valid])
        row |= {name: estimate.median, f"{name}_n": estimate.n}
        if interval := estimate.interval:
            row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
            row[f"{name}_confidence_percent"] = 100 * interval.confidence
    return row
