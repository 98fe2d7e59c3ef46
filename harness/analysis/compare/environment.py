"""Where runs were made and how they were set up, as columns; and in what sources differ there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness import columns
from harness.tables.columnar import Numbers, Table, table_of

if TYPE_CHECKING:
    import pandas as pd

HOST = (*(column.name for column in columns.ENVIRONMENT), "datapath")
"""The columns that say on what runs were made."""

WORK = (
    *(column.name for column in columns.RUN_COLUMNS if column.name.startswith(("workload_", "contention_"))),
    *(column.name for column in columns.IMPORTED_FACTS),
)
"""The columns that say what runs did, and beside what."""


@dataclass(frozen=True)
class EnvironmentDifference:
    """A column of the environment in which sources differ, with the values of each (empty where blank)."""

    column: str
    values: tuple[tuple[str, ...], ...]


def texts_of(runs: Table | pd.DataFrame, name: str) -> tuple[str, ...]:
    """The distinct values of a column as text, blanks left out, in the order met."""
    table = table_of(runs)
    if name not in table:
        return ()
    column = table[name]
    # Alike in every row, as most are: no need to look for others.
    column = column.take(np.arange(1)) if len(column) and column.alike() else column
    if isinstance(column, Numbers):
        return tuple(f"{value:g}" for value in column.distinct())
    return tuple(text for text in column.distinct() if text)


def differences(tables: Sequence[Table], compared: Sequence[Table]) -> tuple[EnvironmentDifference, ...]:
    """The columns in which sources differ; compared: of each the rows of cells that another one has too.

    Of the work these alone count: what only one side did is compared with nothing. One that says nothing of its host
    differs from none. Of the work, blank means none (no contention, no service time), where every source has the
    column and tells what kind of work it was.
    """
    kinds_known = all(texts_of(table, "workload_kind") for table in tables)
    different = []
    for name in (*HOST, *WORK):
        values = tuple(texts_of(table, name) for table in (compared if name in WORK else tables))
        blank_counts = kinds_known and name in WORK and all(name in table for table in tables)
        if len({frozenset(texts) for texts in values if texts or blank_counts}) > 1:
            different.append(EnvironmentDifference(name, values))
    return tuple(different)


def partly_blank(tables: Sequence[Table]) -> tuple[str, ...]:
    """The columns of the host that some of these tables fill and others leave blank."""
    filled = {name: [bool(texts_of(table, name)) for table in tables] for name in HOST}
    return tuple(name for name, sides in filled.items() if any(sides) and not all(sides))


def pooled(table: Table, groups: Iterable[npt.NDArray[np.intp]]) -> dict[str, tuple[str, ...]]:
    """What of the host is not the same in all rows of one of these groups, with the values met there."""
    several = [name for name in HOST if len(texts_of(table, name)) > 1]
    mixed: dict[str, tuple[str, ...]] = {}
    for rows in groups if several else ():
        part = table.only(several).take(rows)
        for name in several:
            if len(texts := texts_of(part, name)) > 1:
                mixed[name] = tuple(dict.fromkeys((*mixed.get(name, ()), *texts)))
    return mixed


def silent(runs: Table | pd.DataFrame) -> bool:
    """Does this table say nothing at all about where its runs were made?"""
    return not any(texts_of(runs, name) for name in HOST)
