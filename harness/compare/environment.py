"""Where runs were made and how they were set up, as columns; and in what two sources differ there."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from harness import columns
from harness.tables.source import Source

_COMPARED = (
    *(column.name for column in columns.ENVIRONMENT),
    "datapath",
    "workload_kind",
    "workload_loop",
    "workload_protocol",
    "workload_client_wait",
    "workload_server_wait",
    "workload_size_bytes",
    "workload_warmup_s",
    "workload_duration_s",
)


@dataclass(frozen=True)
class Difference:
    """A column of the environment in which two sources differ, with the values of either."""

    column: str
    base: tuple[str, ...]
    test: tuple[str, ...]


def texts_of(runs: pd.DataFrame, name: str) -> tuple[str, ...]:
    """The distinct values of a column as text, blanks left out, in the order met."""
    if name not in runs.columns:
        return ()
    found = (_text(value) for value in runs[name].dropna().unique())
    return tuple(text for text in found if text)


def differences(
    base: Source, test: Source, base_label: str, test_label: str
) -> tuple[tuple[Difference, ...], tuple[str, ...]]:
    """The columns in which two sources differ, and a sentence for every doubt about the rest."""
    found, notes = [], []
    known = [0, 0]
    for name in _COMPARED:
        ours, theirs = texts_of(base.runs, name), texts_of(test.runs, name)
        known[0] += bool(ours)
        known[1] += bool(theirs)
        if ours and theirs and set(ours) != set(theirs):
            found.append(Difference(name, ours, theirs))
    for label, count in zip((base_label, test_label), known, strict=True):
        if not count:
            notes.append(f"{label} says nothing about where its runs were made")
    return tuple(found), tuple(notes)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)
