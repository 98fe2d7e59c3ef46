"""A runs table from any CSV file, ours or anyone's, and what is put right in it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from harness.tables.cells import factor_columns
from harness.tables.reading.account import Reading
from harness.tables.reading.table import read


def load_runs(path: str | Path) -> pd.DataFrame:
    """The runs in a CSV file: one row per run and at least one metric; everything else is optional.

    Text columns hold "" where blank, number columns are float64 with NaN; `reading.table.read` says more, and what the
    columns were taken for. Raises InputError with file:line for whatever cannot be read.
    """
    return read(Path(path))[0]


def repaired(runs: pd.DataFrame, reading: Reading) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table with every run once; and what was done to it, and to known times of other units, in sentences."""
    converted = [
        f"column {column.name} is read as {column.here}, times {column.scale:g}"
        for column in reading.of("metric")
        if column.scale != 1
    ]
    runs, dropped = _each_run_once(runs, reading.ours)
    return runs, (*reading.warnings, *converted, *dropped)


def _each_run_once(runs: pd.DataFrame, ours: bool) -> tuple[pd.DataFrame, list[str]]:
    """A run's row counts once, however often it is there; two rows of one run that differ: the first.

    In a table of another origin (not `ours`) whose rows mostly differ under one name it names something else.
    """
    if "run_id" not in runs.columns or runs["run_id"].is_unique:
        return runs, []
    # The same plan gives the same names: in different cells (of two machines, say) they are different runs.
    own = [name for name in ("run_id", "case", "host", *factor_columns(runs)) if name in runs.columns]
    again = runs.duplicated(own) & (runs["run_id"] != "")
    if not again.any():
        return runs, []
    alike = runs.duplicated() & again
    if not ours and int((again & ~alike).sum()) > len(runs) / 2:
        return runs, ["run_id has one value in rows that differ: it names no single run, and every row counts"]
    names = runs.loc[again, "run_id"].drop_duplicates()
    lead = f"{len(names)} runs are" if len(names) > 1 else "one run is"
    findings = [f"{lead} in the table more than once ({_some(names)}): each counts once"]
    if odd := int((again & ~alike).sum()):
        clash = runs.loc[again & ~alike, "run_id"].drop_duplicates()
        rows = "1 row was" if odd == 1 else f"{odd} rows were"
        findings.append(f"rows of one run_id do not agree ({_some(clash)}): the first counts, {rows} left out")
    return runs[~again].reset_index(drop=True), findings


def _some(names: pd.Series) -> str:
    more = len(names) - 3
    return ", ".join(map(str, names.iloc[:3])) + (f" and {more} more" if more > 0 else "")
