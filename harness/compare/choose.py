"""Which metrics are compared, by which factors cells are matched, and what to call the two sides."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import pandas as pd

from harness import columns
from harness.errors import InputError
from harness.tables.cells import factor_columns
from harness.tables.source import Source

DEFAULT_METRICS = (
    "rtt_p50_us",
    "rtt_p99_us",
    "rtt_p99_9_us",
    "rtt_jitter_us",
    "rate_rps",
    "cpu_us_per_request",
)


def choose_metrics(tables: Sequence[pd.DataFrame], wanted: Sequence[str] | None) -> list[str]:
    """The metrics to compare: those asked for, else the default ones that have values, else all there are.

    Raises InputError for a metric that no table has.
    """
    there: list[str] = []
    for table in tables:
        there += [name for name in map(str, table.columns) if _measures(table, name) and name not in there]
    if wanted is None:
        return [name for name in DEFAULT_METRICS if name in there] or there
    for name in wanted:
        if name not in there:
            raise InputError(
                "compare",
                on=f"metric {name!r}",
                got="no run has it",
                todo=meant(name, there),
                where="--metric",
            )
    return list(dict.fromkeys(wanted))


def shared_factors(base: Source, test: Source, by: Sequence[str] | None) -> tuple[list[str], tuple[str, ...]]:
    """The factors to match cells by, and a note for each that only one side has. Raises InputError."""
    if by is not None:
        for name in by:
            if name not in base.runs.columns and name not in test.runs.columns:
                raise InputError("compare", on=f"column {name!r}", got="no run has it", where="--by")
        return [name for name in by if name != "case"], ()
    ours, theirs = factor_columns(base.runs), factor_columns(test.runs)
    names = [*ours, *(name for name in theirs if name not in ours)]
    alone = [name for name in names if (name in ours) != (name in theirs)]
    notes = tuple(
        f"only one side has the factor {name}, so its cells match none of the other" for name in alone
    )
    return names, notes


def labels(base: Source, test: Source) -> tuple[str, str]:
    """What to call the two sources: their labels, told apart where they are the same."""
    if base.label != test.label:
        return base.label, test.label
    return f"{base.label} (first)", f"{test.label} (second)"


def _measures(table: pd.DataFrame, name: str) -> bool:
    known = columns.BY_NAME.get(name)
    if known is None and columns.is_factor(name):
        return False
    if known is not None and known not in columns.METRICS:
        return False
    return pd.api.types.is_numeric_dtype(table[name].dtype) and bool(table[name].notna().any())


def meant(name: str, allowed: Sequence[str]) -> str:
    """What to do about a name that is not there: the nearest that is, or all that are."""
    close = difflib.get_close_matches(name, allowed, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there is {', '.join(allowed) or 'none'}"
