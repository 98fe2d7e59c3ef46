"""What a column is, and how lists of columns are written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

Dtype = Literal["text", "integer", "number", "flag"]
Better = Literal["lower", "higher", ""]

VERDICTS = ("valid", "inert", "suspect", "failed", "skipped")
"""Every verdict a run can have, best first."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    unit: as printed, "" for none; better: the direction a user wants, "" where neither is; main: the column
    is summarised per cell and compared by default; label: what a table for people calls it.
    """

    name: str
    unit: str
    dtype: Dtype
    meaning: str
    better: Better = ""
    main: bool = False
    label: str = ""


def listed(text: str) -> tuple[Column, ...]:
    """Columns of one table, written one a line as `name | type unit | better, main | label | meaning`.

    `name | type unit | meaning` is enough for what is no metric. A line that begins with spaces goes on with the
    meaning of the line above.
    """
    rows = text.strip("\n").replace("\n    ", " ").split("\n")
    return tuple(_column(*(field.strip() for field in row.split("|"))) for row in rows)


def _column(name: str, kind: str, *rest: str) -> Column:
    dtype, _, unit = kind.partition(" ")
    if len(rest) == 1:
        return Column(name, unit, cast("Dtype", dtype), rest[0])
    flags, label, meaning = rest
    better = flags.removesuffix("main").strip()
    main = flags.endswith("main")
    return Column(name, unit, cast("Dtype", dtype), meaning, cast("Better", better), main, label or name)
