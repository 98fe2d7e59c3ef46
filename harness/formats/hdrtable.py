"""HdrHistogram's percentile tables, as .hgrm files and as wrk2 prints them: one table is one set of figures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.formats.latency import LEVELS
from harness.formats.model import NOT_USED, Note
from harness.formats.text import Line, amount

TABLE = re.compile(r"\"?Value\"?[ ,\t]+\"?Percentile\"?[ ,\t]+\"?TotalCount\"?")
_MEAN = re.compile(r"#\[Mean\s*=\s*([\d.,]{1,40}),\s+StdDeviation\s*=\s*([\d.,]{1,40})\]")
_MAX = re.compile(r"#\[Max\s*=\s*([\d.,]{1,40}),\s+Total ?[cC]ount\s*=\s*([\d.,]{1,40})\]")


@dataclass
class HdrTable:
    """The figures of one table in its own unit. total: of how many values, None where the table does not say."""

    values: dict[str, float | None] = field(default_factory=dict)
    total: float | None = None
    rows: int = 0


def read_table(lines: Iterator[Line], note: Note) -> HdrTable:
    """The table below its header, up to its closing lines.

    A quantile is the value of the first row at or beyond its level.
    """
    table = HdrTable()
    rows: list[tuple[float, float]] = []
    for line in lines:
        line.use()
        text = line.text.strip()
        if mean := _MEAN.match(text):
            table.values |= {"mean": amount(mean[1]), "sd": amount(mean[2])}
        elif maximum := _MAX.match(text):
            # The count may be printed with decimals ("200.000"), and is never grouped.
            table.values["max"], table.total = amount(maximum[1]), amount(maximum[2])
            break
        elif text and not text.startswith("#"):
            cells = text.split()
            # Also made as CSV; a decimal comma is no separator where blanks separate.
            cells = cells if len(cells) >= 3 else text.split(",")
            numbers = [amount(cell) for cell in cells[:2]]
            if len(cells) < 3 or None in numbers:
                note(line.number, "the row is not value, percentile, count; it is left out")
                continue
            rows.append((numbers[1] or 0.0, numbers[0] or 0.0))
    _quantiles(table, rows, note)
    return table


def _quantiles(table: HdrTable, rows: list[tuple[float, float]], note: Note) -> None:
    table.rows = len(rows)
    if not rows:
        note(0, "the table holds no rows")
        return
    note(0, f"{NOT_USED}the rows of a percentile table between the quantiles that have columns, and its counts")
    if table.total is None:
        note(0, "the table's closing lines are missing: quantiles are given without knowing from how many values")
    rows.sort()
    for name, level in LEVELS.items():
        table.values[name] = next((value for percentile, value in rows if percentile >= level - 1e-9), None)
    table.values["min"] = rows[0][1] if rows[0][0] == 0 else None
    table.values.setdefault("max", rows[-1][1] if rows[-1][0] >= 1 else None)
    deviation, most = table.values.get("sd"), table.values.get("max")
    if deviation is not None and most is not None and deviation > 1.01 * (most - (table.values["min"] or 0.0)) / 2:
        note(
            0, f"StdDeviation is {deviation:g}, more than values up to {most:g} can have: its unit is another; left out"
        )
        table.values["sd"] = None
