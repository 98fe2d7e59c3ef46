"""What a column is, and short ways to write one down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dtype = Literal["text", "integer", "number", "flag"]
Better = Literal["lower", "higher", ""]
Table = Literal["runs", "nodes", "knobs", "cpus", "summary"]

VERDICTS = ("valid", "inert", "suspect", "failed", "skipped")
"""Every verdict a run can have, best first."""


@dataclass(frozen=True)
class Column:
    """One column of one table.

    unit: as printed, "" for none; better: the direction a user wants, "" where neither is; main: the column
    is summarised per cell and compared by default; label: what a table for people calls it.
    """

    name: str
    unit: str
    dtype: Dtype
    table: Table
    meaning: str
    better: Better = ""
    main: bool = False
    label: str = ""


def text(table: Table, name: str, meaning: str) -> Column:
    """A column of words."""
    return Column(name, "", "text", table, meaning)


def measured(
    name: str, unit: str, meaning: str, better: Better = "", *, main: bool = False, label: str = ""
) -> Column:
    """A figure of runs.csv; whole numbers where the unit is a count."""
    dtype: Dtype = "integer" if unit == "count" else "number"
    return Column(name, unit, dtype, "runs", meaning, better, main, label or name)
