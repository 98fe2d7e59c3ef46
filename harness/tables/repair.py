"""What is put right in a table of somebody's making before it is used, each with a sentence that says so."""

from __future__ import annotations

import pandas as pd

from harness import columns
from harness.tables.cells import factor_columns

_TIMES = {"_ns": 1e-3, "_us": 1.0, "_ms": 1e3, "_s": 1e6}


def repaired(runs: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table with known times in the unit of their column, and every run once; and what was done, in sentences."""
    runs, converted = _known_units(runs)
    runs, dropped = _each_run_once(runs)
    return runs, (*converted, *dropped)


def _known_units(runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """rtt_p99_ms becomes rtt_p99_us, which tables have; not where both are there."""
    findings = []
    for name in map(str, runs.columns):
        suffix = next((end for end in ("_ns", "_us", "_ms", "_s") if name.endswith(end)), "")
        if not suffix or name in columns.BY_NAME:
            continue
        for other, size in _TIMES.items():
            known = columns.BY_NAME.get(name.removesuffix(suffix) + other)
            if known is None or known not in columns.METRICS or known.name in runs.columns:
                continue
            factor = _TIMES[suffix] / size
            values = pd.to_numeric(runs[name]) * factor
            runs = runs.rename(columns={name: known.name}).assign(**{known.name: values})
            findings.append(f"column {name} is read as {known.name}, times {factor:g}")
            break
    return runs, findings


def _each_run_once(runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A run's row counts once, however often it is there; two rows of one run that differ: the first."""
    if "run_id" not in runs.columns:
        return runs, []
    # The same plan gives the same names: in different cells (of two machines, say) they are different runs.
    own = [name for name in ("run_id", "case", "host", *factor_columns(runs)) if name in runs.columns]
    again = runs.duplicated(own) & (runs["run_id"] != "")
    if not again.any():
        return runs, []
    alike = runs.duplicated() & again
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
