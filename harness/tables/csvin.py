"""A runs table from any CSV file, ours or anyone's, and what is put right in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.tables.cells import factor_columns
from harness.tables.columnar import Table
from harness.tables.reading.account import Reading
from harness.tables.reading.table import read

if TYPE_CHECKING:
    import pandas as pd


def load_runs(path: str | Path) -> pd.DataFrame:
    """The runs in a CSV file: one row per run and at least one metric; everything else is optional.

    Text columns hold "" where blank, number columns are float64 with NaN; `reading.table.read` says more, and what the
    columns were taken for. Raises InputError with file:line for whatever cannot be read.
    """
    return read(Path(path))[0].frame()


def repaired(runs: Table, reading: Reading) -> tuple[Table, tuple[str, ...]]:
    """The table with every run once; and what was done to it, and to known times of other units, in sentences."""
    converted = [
        f"column {column.name} is read as {column.here}, times {column.scale:g}"
        for column in reading.of("metric")
        if column.scale != 1
    ]
    runs, dropped = _each_run_once(runs, reading.ours)
    return runs, (*reading.warnings, *converted, *dropped)


def _each_run_once(runs: Table, ours: bool) -> tuple[Table, list[str]]:
    """A run's row counts once, however often it is there; two rows of one run that differ: the first.

    In a table of another origin (not `ours`) whose rows mostly differ under one name it names something else.
    """
    if "run_id" not in runs or (ids := runs.texts("run_id")).unique:
        return runs, []
    # The same plan gives the same names: in different cells (of two machines, say) they are different runs.
    own = [name for name in ("run_id", "case", "host", *factor_columns(runs)) if name in runs]
    again = _again(runs, own) & ~ids.blank()
    if not again.any():
        return runs, []
    alike = _again(runs, runs.names) & again
    if not ours and int((again & ~alike).sum()) > len(runs) / 2:
        return runs, ["run_id has one value in rows that differ: it names no single run, and every row counts"]
    names = ids.take(again).distinct()
    lead = f"{len(names)} runs are" if len(names) > 1 else "one run is"
    findings = [f"{lead} in the table more than once ({_some(names)}): each counts once"]
    if odd := int((again & ~alike).sum()):
        clash = ids.take(again & ~alike).distinct()
        rows = "1 row was" if odd == 1 else f"{odd} rows were"
        findings.append(f"rows of one run_id do not agree ({_some(clash)}): the first counts, {rows} left out")
    return runs.take(~again), findings


def _again(runs: Table, names: list[str]) -> npt.NDArray[np.bool_]:
    """Which rows are, in these columns, as one above them?"""
    codes = runs.groups(names)
    first = np.zeros(len(runs), dtype=bool)
    first[np.unique(codes, return_index=True)[1]] = True
    return ~first


def _some(names: list[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
