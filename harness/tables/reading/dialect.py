"""The form of a CSV text: what parts its fields, where its header is, what a comma in a number means."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NoReturn

from harness.columns import BY_NAME
from harness.tables.reading.around import blanked, joined, levels, lines_above, units_below, with_header, without_bars
from harness.tables.reading.numbers import BLANKS, GROUPED, PLAIN, form_of
from harness.tables.reading.opened import bad
from harness.tables.reading.turned import pivoted, text_of, turned

_SAMPLE = 200
_DELIMITERS = (",", ";", "\t", "|")
_WORDS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}
MINIMUM = "it needs a line of column names and, below it, at least one measured column, such as rtt_p50_us"
# A header with blanks around its commas, by somebody who lines up columns: blanks there belong to no field.
_SPACED = re.compile(rb"[^\r\n]*(,[ \t]|[ \t],)")
_BLANKS_AROUND = re.compile(rb'("(?:[^"]|"")*")|[ \t]*(,)[ \t]*|[ \t]+(?=[\r\n]|\Z)|^[ \t]+', re.MULTILINE)
_COMMENT = re.compile(rb"^[ \t]*#[^\r\n]*", re.MULTILINE)
_SEP = re.compile(rb"[\"']?sep=(.)[\"']?[ \t]*\r?\n", re.IGNORECASE)


@dataclass(frozen=True)
class Text:
    """A CSV text in a form that one reader takes, with the lines where they were in the file.

    names: the header's, without blanks around them; header: as they are; line: on which it stands; sample: the first
    rows; notes: what had to be understood, in words.
    """

    path: Path
    data: bytes
    names: tuple[str, ...]
    header: tuple[str, ...]
    line: int
    sample: tuple[tuple[str, ...], ...]
    delimiter: str = ","
    decimal: str = "."
    notes: tuple[str, ...] = ()
    turned: bool = False

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Every row below the header that is not empty, with the line on which it begins. Raises InputError.

        Of a table that was turned, whose rows are on no line of the file, that is the header's.
        """
        every = rows_of(self.path, self.data, self.delimiter)
        next(every, None)
        return ((self.line, row) for _, row in every) if self.turned else every


def form(path: Path, data: bytes, decimal: str = "", asked: Collection[str] = ()) -> Text:
    """The text's form. decimal: "," or "." where the user says it; asked: columns of which the user says what they are.

    Raises InputError for what has no header.
    """
    notes: list[str] = []
    if match := _SEP.match(data):
        data = data[match.start(1) + 1 :] if match[1] in (b"\r", b"\n") else b"\n" + data[match.end() :]
    data, commented = _without_comments(data)
    data = without_bars(data)
    if above := lines_above(data, _DELIMITERS):
        data = blanked(data, above)
        notes.append(f"what stands above its header, on line {above + 1}, is left out")
    delimiter, unblanked = _delimiter(data)
    data, blanks = unblanked, unblanked is not data
    if _SPACED.match(data.lstrip(b"\r\n")) and delimiter == ",":
        data = _BLANKS_AROUND.sub(lambda match: match[1] or match[2] or b"", data)
    first = list(islice(rows_of(path, data, delimiter), _SAMPLE + 1))
    if not first:
        bad(path, 1, "it is empty", MINIMUM)
    line, names = first[0]
    rows = [tuple(row) for _, row in first[1:]]
    numeric = [name for name in names if PLAIN.fullmatch(name.strip())]
    if len(numeric) > 1 and [float(name) for name in numeric] in (_counted(numeric, 0), _counted(numeric, 1)):
        numeric = []  # repetitions side by side, by their numbers
    commented = "\t".join(commented.split()) if blanks else commented
    if numeric and commented and len(fields := next(csv.reader([commented], delimiter=delimiter))) == len(names):
        names, rows = [field.strip() for field in fields], [tuple(names), *rows]
        data = (delimiter.join(map(_quoted, names)) + "\n").encode() + data.lstrip(b"\r\n")
        notes.append("its header is the comment above the first row")
    elif numeric:
        _refuse_numbers(path, line, names, numeric[0].strip()[:20])
    else:
        data, names, rows = _one_header(
            data, names, [line, *(begins for begins, _ in first[1:])], rows, delimiter, notes
        )
    # Columns that the user names are those of the table as it is.
    other = turned(names, rows) if len(first) <= _SAMPLE and not set(asked).intersection(names) else None
    if other is not None:
        names, rows, note = other[0], [tuple(row) for row in other[1]], other[2]
        data = text_of(names, rows, delimiter, line)
        notes.append(note)
    header, names = names, [name.strip() for name in names]
    if delimiter != ",":
        notes.append(f"fields are parted by {'blanks' if blanks else _WORDS[delimiter]}")
    decimal = decimal or _decimal(path, delimiter, names, rows)
    if decimal == ",":
        notes.append("commas in numbers are decimal")
    return Text(
        path, data, tuple(names), tuple(header), line, tuple(rows), delimiter, decimal, tuple(notes), other is not None
    )


def _refuse_numbers(path: Path, line: int, names: list[str], first: str) -> NoReturn:
    if pivoted(names):
        got = f"its columns are values of something, {first} the first of them, and nothing says of what"
        bad(path, line, got, "write a row a value, as pandas' melt() does, with names for the value and the figure")
    got = f"its first line is no header: it holds the number {first}"
    bad(path, line, got, "put the names of the columns in a line above it")


def _one_header(
    data: bytes, names: list[str], lines: list[int], rows: list[tuple[str, ...]], delimiter: str, notes: list[str]
) -> tuple[bytes, list[str], list[tuple[str, ...]]]:
    """The text with one line of names: levels joined, units put to names, and a name for R's column of row names.

    lines: where the header and each of the rows begins.
    """
    made, count = names, 0
    bare = [name.strip() for name in names]
    unnamed = any(
        not name and any(row[at].strip() for row in rows if at < len(row)) for at, name in enumerate(bare) if at
    )
    if (unnamed or len({*bare}) < len(bare)) and (count := levels(bare, rows)):
        made = joined(bare, rows[:count])
        notes.append(f"its header has {count + 1} lines: {made[-1]}")
    elif units := units_below(bare, rows):
        made, count = units, 1
        notes.append("the line below its header has the units")
    elif unnamed and bare[1:].count("") == 1 and _are_levels([row[bare.index("", 1) :][:1] for row in rows]):
        made = [name or ("quantile" if at else "") for at, name in enumerate(names)]
        notes.append("its column without a name has levels of quantiles")
    elif rows and all(len(row) == len(names) + 1 for row in rows):
        made = ["", *names]
        notes.append("its first column has no name, as R writes row names")
    if made is names or len(lines) <= count + 1:
        return data, names, rows
    header = delimiter.join(map(_quoted, made)).encode()
    return with_header(data, header, lines[0], lines[count + 1]), made, rows[count:]


def _are_levels(cells: list[tuple[str, ...]]) -> bool:
    """Are all of these shares between 0 and 1, as pandas' quantile() puts beside its groups?"""
    return all(cell and PLAIN.fullmatch(cell[0].strip()) and 0 < float(cell[0]) < 1 for cell in cells)


def rows_of(path: Path, data: bytes, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Every row that is not empty, with the line on which it begins. Raises InputError for what is no CSV."""
    # Decoded as it is read: the header alone must not cost a pass over ten megabytes.
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    reader = csv.reader(text, strict=True, delimiter=delimiter)
    begins = 1
    try:
        for row in reader:
            if row:
                yield begins, row
            begins = reader.line_num + 1
    except csv.Error as error:
        bad(path, begins, f"it is not CSV ({error})")


def _counted(names: list[str], first: int) -> list[float]:
    return [float(number) for number in range(first, first + len(names))]


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'


def _without_comments(data: bytes) -> tuple[bytes, str]:
    """The text with its comment lines blank, and the last comment above the first row: it may be the header."""
    # Looked for alone first: most texts have no such sign at all, and that is known at once.
    if b"#" not in data or not (data.lstrip().startswith(b"#") or (b"\n#" in data and b'"' not in data)):
        return data, ""
    above = ""
    for line in io.BytesIO(data):
        stripped = line.strip()
        if stripped and not stripped.startswith(b"#"):
            break
        above = stripped.lstrip(b"#").strip().decode() or above
    return _COMMENT.sub(b"", data), above


def _delimiter(data: bytes) -> tuple[str, bytes]:
    """What parts the fields: of the candidates that part every row as the header, the one that makes most fields."""
    head = data.lstrip(b"\r\n")[: 1 << 16]
    whole = len(head) < 1 << 16
    lines = head.decode("utf-8", "replace").splitlines()[: 40 if whole else 39] or [""]
    lines = [line for line in lines if line.strip()]
    if not lines or ("," in lines[0] and not any(mark in lines[0] for mark in ";\t|")):
        return ",", data
    counted = {mark: _fields(lines, mark) for mark in _DELIMITERS}
    fitting = {mark: size for mark, (fits, size) in counted.items() if size > 1 and fits}
    some = fitting or {mark: size for mark, (_, size) in counted.items() if size > 1}
    if some:
        return max(some, key=lambda mark: some[mark]), data
    parts = [line.split() for line in lines]
    if (
        len(parts[0]) > 1
        and all(len(part) == len(parts[0]) for part in parts)
        and not any('"' in line for line in lines)
    ):
        # Columns lined up by blanks: one tab for each run of them.
        return "\t", re.sub(rb"(?m)^[ \t]+|[ \t]+$", b"", re.sub(rb"[ \t]+", b"\t", data))
    fits, size = _fields(lines, " ")
    return " " if fits and size > 1 else ",", data


def _fields(lines: list[str], mark: str) -> tuple[bool, int]:
    """Does this mark part nearly every line into as many fields as the first; and how many those are."""
    try:
        sizes = [len(row) for row in csv.reader(lines, delimiter=mark) if row]
    except csv.Error:
        return False, 0
    # R gives row names a column, and that no name.
    by_r = len(sizes) > 1 and all(size == sizes[0] + 1 for size in sizes[1:])
    return by_r or sum(size == sizes[0] for size in sizes) / len(sizes) > 0.9, sizes[0]


def _decimal(path: Path, delimiter: str, names: list[str], rows: list[tuple[str, ...]]) -> str:
    """Whether commas in numbers are decimal. Raises InputError where nothing tells."""
    if delimiter == "," and not any("," in field for row in rows for field in row):
        return "."
    columns = zip(names, zip(*(row for row in rows if len(row) == len(names)), strict=True), strict=False)
    kinds: set[str] = set()
    beside = False
    for name, column in columns:
        fields = [field.strip() for field in column if field.strip() not in BLANKS]
        known = [form_of(field) for field in fields]
        # A list of CPUs looks like a number with a decimal comma, and is none of the figures.
        if not all(known) or (name in BY_NAME and BY_NAME[name].dtype == "text"):
            continue
        kinds |= set(known)
        if GROUPED in known:
            beside |= _is_beside_smaller(path, delimiter, fields, known, "decimal point" in kinds)
    if "decimal comma" in kinds and (delimiter != "," or "decimal point" not in kinds):
        return ","
    alone = GROUPED in kinds and not kinds & {"decimal point", "grouped twice"}
    return "," if alone and not beside and delimiter != "," else "."


def _is_beside_smaller(path: Path, delimiter: str, fields: list[str], known: list[str], points: bool) -> bool:
    """Is 1,234 a thousand, for whole numbers below 1000 stand beside it? Raises InputError where nothing tells."""
    plain = [abs(int(field)) for field, kind in zip(fields, known, strict=True) if kind == "whole"]
    if plain and max(plain) < 1000:
        return True
    sure = points or {"decimal point", "decimal comma", "grouped twice"}.intersection(known)
    if not sure and (plain or delimiter == ","):
        example = next(field for field, kind in zip(fields, known, strict=True) if kind == GROUPED)
        got = f"nothing tells whether {example!r} has a decimal comma or grouped thousands"
        bad(path, 2, got, f'say `decimal: ","` or `decimal: "."` in {path.name}.yaml')
    return False
