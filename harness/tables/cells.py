"""Rows of a runs table gathered into cells: one case under one combination of factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.columns import BY_NAME, VERDICTS, is_factor
from harness.errors import InputError


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
    """The columns that were varied: those with a dot in the name, or unknown ones without a unit in it."""
    return [str(name) for name in runs.columns if is_factor(str(name))]


NEVER_POOLED = (
    "workload_kind",
    "workload_mode",
    "workload_protocol",
    "workload_size_bytes",
    "workload_sizes",
    "workload_response_sizes",
)
"""Columns whose values make another measurement of a run: those of two are not runs of one cell."""


_SETTINGS = {"poll", "defer", "flush", "budget", "suspend", "usecs", "timeout", "delay", "rate", "load"} | {
    "size", "depth", "interval", "quota", "period"
}  # fmt: skip
"""Words in the names of things that are set, and seldom in those of things that are measured."""


def swept_columns(runs: pd.DataFrame) -> list[str]:
    """Columns of numbers with a unit, unknown to us, that look as if they had been set: busy_poll_us of 0 and 50.

    Both has to hold: a word of their name is of settings, and each of their values is there twice or more, as measured
    figures are not. Counts and shares are no settings, for theirs may repeat.
    """
    names = []
    for name in map(str, runs.columns):
        if name in BY_NAME or is_factor(name) or not _SETTINGS.intersection(name.lower().split("_")):
            continue
        if name.endswith(("_count", "_percent", "_share")):
            continue
        counts = runs[name].value_counts()
        if len(counts) > 1 and int(counts.min()) > 1:
            names.append(name)
    return names


def split_columns(runs: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """The columns of NEVER_POOLED, and the swept ones, that differ within a cell where `names` tell cells apart."""
    several = [
        name
        for name in (*NEVER_POOLED, *swept_columns(runs))
        if name in runs.columns and name not in names and _several(runs[name])
    ]
    if not several:
        return []
    codes, _ = _codes(runs, ["case", *names])
    return [name for name in several if bool((_named(runs[name]).groupby(codes).nunique() > 1).any())]


def _several(values: pd.Series) -> bool:
    return _named(values).nunique() > 1


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
    codes, values = _codes(runs, keys)
    starts, order = _spans(codes)
    verdicts = _verdict_codes(runs)
    counted = np.isin(verdicts, [VERDICTS.index(name) for name in ("valid", *include)])
    cells = []
    for rows in np.split(order, starts[1:]):
        here = values[rows[0]]
        counts = np.bincount(verdicts[rows], minlength=len(VERDICTS))
        cells.append(
            SummaryCell(
                case=here[0],
                factors=tuple(zip(names, here[1:], strict=True)),
                rows=rows,
                valid=rows[counted[rows]],
                verdicts={name: int(count) for name, count in zip(VERDICTS, counts, strict=True)},
            )
        )
    return sorted(cells, key=lambda cell: int(cell.rows[0]))


def _codes(runs: pd.DataFrame, keys: list[str]) -> tuple[npt.NDArray[np.int64], dict[int, tuple[str, ...]]]:
    """A number for every row, equal for rows of one cell; and the texts of each cell by its first row."""
    combined = np.zeros(len(runs), dtype=np.int64)
    for key in keys:
        codes, uniques = pd.factorize(runs[key])
        # Numbered again from 0 each time, in the order met: products of many factors would overflow.
        combined = pd.factorize(combined * (len(uniques) + 1) + codes)[0].astype(np.int64)
    first = np.empty(int(combined.max()) + 1, dtype=np.int64)
    first[combined[::-1]] = np.arange(len(runs))[::-1]
    picked = [[_text(value) for value in runs[key].iloc[first]] for key in keys]
    return combined, dict(zip(map(int, first), zip(*picked, strict=True), strict=True))


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:g}"
    return str(value)


def _spans(codes: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows ordered by cell (stable: a cell's first row stays first), and where each cell starts."""
    order = np.argsort(codes, kind="stable")
    changed = np.flatnonzero(np.diff(codes[order])) + 1
    return np.concatenate((np.zeros(1, dtype=np.intp), changed)), order


def _verdict_codes(runs: pd.DataFrame) -> npt.NDArray[np.int64]:
    if "verdict" not in runs.columns:
        return np.zeros(len(runs), dtype=np.int64)
    known = {name: code for code, name in enumerate(VERDICTS)}
    # Blank means that nobody judged the run, which is how hand-made tables have it.
    known[""] = 0
    codes, uniques = pd.factorize(runs["verdict"])
    table = np.array([known[str(name)] for name in uniques], dtype=np.int64)
    return table[codes]
