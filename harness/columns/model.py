"""What a column is, and how lists of columns are written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

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


def listed(table: Table, text: str) -> tuple[Column, ...]:
    """Columns of one table, written one a line as `name | type unit | better, main | label | meaning`.

    `name | type unit | meaning` is enough for what is no metric. A line that begins with spaces goes on with the
    meaning of the line above.
    """
    rows = text.strip("\n").replace("\n    ", " ").split("\n")
    return tuple(_column(table, *(field.strip() for field in row.split("|"))) for row in rows)


def _column(table: Table, name: str, kind: str, *rest: str) -> Column:
    dtype, _, unit = kind.partition(" ")
    if len(rest) == 1:
        return Column(name, unit, cast("Dtype", dtype), table, rest[0])
    flags, label, meaning = rest
    better = flags.removesuffix("main").strip()
    main = flags.endswith("main")
    return Column(name, unit, cast("Dtype", dtype), table, meaning, cast("Better", better), main, label or name)
