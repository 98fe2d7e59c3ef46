"""What surrounds a table that is no row of it: lines above its header, headers of several lines, units, bars."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.columns.names import plain_unit
from harness.tables.columnar import Column, Table, Texts
from harness.tables.reading.numbers import BLANKS, form_of

_MOST_ABOVE = 12
_MOST_LEVELS = 4
_BREAK = re.compile(rb"\r\n|\n|\r")
_RULE = re.compile(rb"(?m)^[ \t]*[|+]?[ \t]*:?[-=]{3,}[ \t|+:=-]*$")
_BARS = re.compile(rb"(?m)^[ \t]*\|?[ \t]*|[ \t]*\|?[ \t]*$")
_COUNT = re.compile(rb"(?m)^[ \t]*(?:\(?\d+ rows?\b[^|\r\n]*|shape: \(.*\))$")
# Lines of boxes, as Unicode has them, by what ASCII tables have in their place.
_BOXES: dict[str, str] = {
    **dict.fromkeys("│┃║┆", "|"),
    **dict.fromkeys("─━═", "-"),
    **dict.fromkeys("┌┬┐├┼┤└┴┘╭╮╰╯╞╪╡╔╦╗╠╬╣╚╩╝┏┳┓┡╇┩╟╢╤╧", "+"),
}
_BOX = re.compile("[" + "".join(_BOXES) + "]")
_TYPES = re.compile(
    rb"(varchar|text|str|double|float\d*|f\d\d|u?int\d*|[iu]\d\d?|u?(big|small|tiny|huge)int|bool(ean)?)"
)
_BAR = re.compile(rb"[ \t]*\|[ \t]*")
_TOTALS = ("aggregated", "total", "totals")
_SUMMARIES = {
    "mean", "avg", "average", "median", "std", "stddev", "stdev", "sd", "cv", "total", "sum", "min", "max", "overall",
    "all", "geomean",
}  # fmt: skip
_NO_UNIT = {"", "-", "--", "1", "#", "name", "text", "string"}
_OF_RATES = re.compile(
    r"(1|req(uests)?|ops?|queries|transactions)?\s*/\s*s(ec)?|[kMG]?(bit|B)(/s|ps)|hz", re.IGNORECASE
)

Rows = Sequence[Sequence[str]]


def without_bars(data: bytes) -> bytes:
    """A table in bars (Markdown, psql, mysql, boxes) as fields and bars alone; other texts as they are.

    Its rules, the types below its header and the count of its rows are blank lines then.
    """
    head = data[: 1 << 16]
    if _BOX.search(head.decode("utf-8", "replace")):
        data = _BOX.sub(lambda mark: _BOXES[mark[0]], data.decode("utf-8")).encode()
        head = data[: 1 << 16]
    lines = [line.strip() for line in head.splitlines()[:40] if line.strip()]
    rows = [line for line in lines if not _RULE.fullmatch(line) and not _COUNT.fullmatch(line)]
    ruled = len(rows) < len(lines)
    if len(rows) < 2 or not all(b"|" in row[1:] and (ruled or row.startswith(b"|")) for row in rows[:-1]):
        return data
    data = _BAR.sub(b"|", _BARS.sub(b"", _COUNT.sub(b"", _RULE.sub(b"", data))))
    types = next((line for line in data[: 1 << 16].splitlines()[1:] if line not in (b"", *data.split()[:1])), b"")
    return data.replace(types, b"", 1) if types and all(map(_TYPES.fullmatch, types.split(b"|"))) else data


def lines_above(data: bytes, marks: Sequence[str]) -> int:
    """How many lines stand above the header: a title, what a program says of itself. 0 where none do for sure.

    They have fewer fields than all that follows, whose first line has no number in it.
    """
    head = data[: 1 << 16].decode("utf-8", "replace")
    lines = list(enumerate(head.splitlines()[: 60 if len(data) <= 1 << 16 else 59]))
    lines = [(at, line) for at, line in lines if line.strip()]
    best = (0, 0)
    for mark in marks:
        rows = [next(csv.reader([line], delimiter=mark), []) for _, line in lines]
        sizes = [len(row) for row in rows]
        usual, _ = Counter(sizes[len(sizes) // 2 :]).most_common(1)[0] if sizes else (0, 0)
        if usual > 1 and sizes[0] == usual:
            return 0
        if usual < 2:
            continue
        first = sizes.index(usual)
        below = sizes[first:]
        sure = max(sizes[:first]) < usual and len(below) > 1 and below.count(usual) > 0.9 * len(below)
        if sure and first <= _MOST_ABOVE and not any(form_of(field) for field in rows[first]):
            best = max(best, (usual, lines[first][0]))
    return best[1]


def without_summaries(runs: Table, repeats: Sequence[Column]) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """Which rows are not the mean or deviation of others, and that in words.

    Google Benchmark names cases for them; locust and JMeter have one for all others together; others write `avg`
    where a repetition has its number (repeats).
    """
    for column in repeats:
        if isinstance(column, Texts):
            kept = ~column.are(lambda text: text.lower() in _SUMMARIES)
            if kept.any() and not kept.all():
                return kept, (f"rows that sum up others ({column.take(~kept).distinct()[0]}) are left out",)
    cases = set(runs.texts("case").distinct())
    totals = {case for case in cases if case.lower() in _TOTALS}
    if totals and len(cases - totals) > 1:
        return ~runs.texts("case").are(totals.__contains__), (f"rows of all cases ({min(totals)}) are left out",)
    summed = {case.removesuffix("_mean") for case in cases if case.endswith("_mean")}
    summed = {case for case in summed if case in cases and f"{case}_stddev" in cases}
    names = {f"{case}_{end}" for case in summed for end in ("mean", "median", "stddev", "cv")}
    if not summed and (spread := {case for case in cases if _is_spread(case, cases)}):
        return ~runs.texts("case").are(spread.__contains__), (
            f"rows that say how others vary ({min(spread)} and the like) are left out",
        )
    if not summed:
        return np.ones(len(runs), dtype=bool), ()
    return ~runs.texts("case").are(names.__contains__), (
        f"rows that sum up others ({min(names)} and the like) are left out",
    )


def _is_spread(case: str, cases: set[str]) -> bool:
    """Is this the deviation of a case whose mean or median is another?"""
    lead, mark, end = case.rpartition("_")
    return bool(mark) and end in ("stddev", "cv", "std") and bool({f"{lead}_mean", f"{lead}_median"} & cases)


def blanked(data: bytes, count: int) -> bytes:
    """The text with so many of its first lines empty, so that the others keep their numbers."""
    return b"\n" * count + _from_line(data, count + 1)


def with_header(data: bytes, header: bytes, line: int, first: int) -> bytes:
    """The text with this header, on `line`, above what begins on the line `first`."""
    return b"\n" * (line - 1) + header + b"\n" * (first - line) + _from_line(data, first)


def _from_line(data: bytes, number: int) -> bytes:
    at = 0
    for _ in range(number - 1):
        match = _BREAK.search(data, at)
        if match is None:
            return b""
        at = match.end()
    return data[at:]


def levels(names: Sequence[str], rows: Rows) -> int:
    """How many rows below the first are names as well, as pandas writes columns of several levels; 0 for none.

    Asked only of headers that name a column twice, or leave one without a name.
    """
    count = 0
    for row in rows[:_MOST_LEVELS]:
        if len(row) != len(names) or any(form_of(field) for field in row):
            break
        count += 1
    return count if len(rows) > count else 0


def joined(names: Sequence[str], below: Rows) -> list[str]:
    """One name for each column: those of all levels, one that spans several columns for each of them.

    A last line that names the first columns alone has the names of pandas' index; above these it names the levels.
    """
    levels = [list(map(str.strip, row)) for row in (names, *below)]
    index = sum(1 for _ in itertools.takewhile(bool, levels[-1]))
    if not any(levels[-1][index:]):
        for level in levels[:-1]:
            level[:index] = [""] * index
    for upper, lower in itertools.pairwise(levels):
        for at in range(1, len(upper)):
            if not upper[at] and lower[at]:
                upper[at] = upper[at - 1]
    return ["_".join(dict.fromkeys(filter(None, column))) for column in zip(*levels, strict=True)]


def units_below(names: Sequence[str], rows: Rows) -> list[str]:
    """The names with the units that the first row states, where it states units and nothing else; else []."""
    if len(rows) < 2 or len(rows[0]) != len(names):
        return []
    cells = [cell.strip().strip("[](){}").strip() for cell in rows[0]]
    stated = [bool(plain_unit(cell) or _OF_RATES.fullmatch(cell)) for cell in cells]
    if not any(stated) or not all(
        told or cell.lower() in _NO_UNIT or cell in BLANKS for cell, told in zip(cells, stated, strict=True)
    ):
        return []
    return [f"{name} ({cell})" if plain_unit(cell) else name for name, cell in zip(names, cells, strict=True)]
