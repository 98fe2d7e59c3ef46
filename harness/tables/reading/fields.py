"""The columns of a CSV text as numbers or texts; what is no number in a column that must be one is named by line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from harness.columns import BY_NAME, TO_US, VERDICTS
from harness.columns.names import COUNTED, understood
from harness.errors import InputError
from harness.tables.columnar import Column, Floats, Numbers, Table, Texts
from harness.tables.reading.account import Mapping
from harness.tables.reading.dialect import Text
from harness.tables.reading.numbers import BLANKS, POINT_GROUPS, has_size, number_of
from harness.tables.reading.opened import ATTEMPT, bad
from harness.tables.reading.roles import is_ours
from harness.tables.reading.vocabulary import CASES, SPANS, is_setting, rank, words_of

if TYPE_CHECKING:
    import pyarrow as pa

_LASTING = SPANS | {"duration", "runtime"}
_BYTES = re.compile(r"\d ?[kKMGT]i?B")
_PADDED = re.compile(r"[+-]?0\d+")
_QUOTED_FORMULA = re.compile(r"^'(?=[=+\-@\t\r])")
# Any odd number with many bits set here and there.
_WEIGHT = np.uint64(0x9E3779B97F4A7C15)
_MEASURED_RATES = {"throughput", "bandwidth", "bw", "goodput", "rate", "tput", "durchsatz", "debit", "requests", "ops"}
_VERSIONS = {"version", "release", "build", "kernel", "uname", "commit", "sha", "hash", "rev", "revision", "os", "tag"}


def columns_of(text: Text, mapping: Mapping) -> tuple[Table, dict[str, str]]:
    """The table, columns of numbers and columns of texts; and the units that cells carry, by column.

    Times with units in their cells are in microseconds then. Raises InputError with file:line.
    """
    kinds = {name: _kind(name, at, text, mapping) for at, name in enumerate(text.names)}
    numbers = {name for name, kind in kinds.items() if kind == "number"}
    table = _by_arrow(text, numbers)
    units: dict[str, str] = {}
    if table is None:
        # A cell beyond the sample is no plain number: all as text, and numbers of what can be.
        table = _by_arrow(text, set())
        if table is None:
            _find_fault(text, numbers)
            raise InputError(ATTEMPT, on=str(text.path), got="its rows cannot be read")
        table = _without_headers(table)
    changed: dict[str, Column] = {}
    for name in table.names:
        column = table[name]
        if isinstance(column, Numbers):
            continue
        if kinds[name] in ("cells", "number"):
            made = _converted(column, text.decimal, mapping.units.get(name, "") or understood(name).unit)
            if made is not None:
                values, units[name] = _in_own_unit(name, *made)
                changed[name] = Numbers(values)
                continue
            if must_be_number(name, mapping):
                _find_fault(text, {name})
                bad(text.path, text.line, f"{name} has cells of several units", "state one unit for all of them")
        if b"'" in text.data and any(one.startswith("'") for one in column.names):
            # What a writer of ours kept spreadsheets from taking for a formula.
            changed[name] = column.mapped(lambda one: _QUOTED_FORMULA.sub("", one))
    return table.assign(changed), {name: unit for name, unit in units.items() if unit}


def _without_headers(table: Table) -> Table:
    """The texts without the rows that repeat the header, as of files that were put one below the other."""
    again = np.ones(len(table), dtype=bool)
    for name in table.names:
        again &= table.texts(name).are(name.__eq__)
        if not again.any():
            return table
    return table.take(~again)


def must_be_number(name: str, mapping: Mapping) -> bool:
    """Does the list of columns, the user or the name itself say that this column holds figures?"""
    if known := BY_NAME.get(name):
        return known.dtype != "text"
    if role := mapping.roles.get(name):
        return role == "metric"
    says = understood(name)
    return bool(says.unit or says.stat) and not is_ours(name) and not is_setting(name)


def _kind(name: str, at: int, text: Text, mapping: Mapping) -> str:
    """number; cells: numbers that need care; or text."""
    known = BY_NAME.get(name)
    if known is not None:
        fields = [row[at].strip() for row in text.sample if at < len(row)] if known.dtype != "text" else []
        if known.dtype == "text":
            return "text"
        plain = all(field in BLANKS or _plain(field, text.decimal) for field in fields)
        return "number" if plain or not _all_numbers(fields, text.decimal) else "cells"
    fields = [
        field
        for row in text.sample
        if at < len(row) and (field := row[at].strip()) not in BLANKS and row != text.header
    ]
    asked = must_be_number(name, mapping)
    if not fields:
        return "number" if asked else "text"
    if not asked and (is_ours(name) or mapping.roles.get(name) == "case" or _VERSIONS.intersection(words_of(name))):
        # Our own factors, and versions (6.1 is not 6.10), are texts whatever they look like.
        return "text" if not _measured(name, fields, text.decimal) else "number"
    if not _all_numbers(fields, text.decimal):
        return "number" if asked else "text"
    if not asked and any(_PADDED.fullmatch(field) for field in fields):
        return "text"
    if all(_plain(field, text.decimal) for field in fields):
        return "number"
    if (
        not asked
        and not _MEASURED_RATES.intersection(words_of(name))
        and any((cell := number_of(field, text.decimal)) and cell[1] in ("bit/s", "1/s") for field in fields)
    ):
        return "text"  # the speed of a link, not what went over it
    if any(":" in field for field in fields) and not (asked or _lasts(name)):
        return "text"  # a time of day
    if any(map(has_size, fields)) and not (asked or _counts(name, fields)):
        return "text"  # 64K of a setting, or of a name
    with_units = any((cell := number_of(field, text.decimal)) and cell[1] for field in fields)
    named = is_setting(name) or set(CASES).issuperset(words_of(name) or [""])
    return "text" if with_units and named and not asked else "cells"


def _lasts(name: str) -> bool:
    return understood(name).timed or bool(_LASTING.intersection(words_of(name)))


def sizes_in(text: Text) -> tuple[str, ...]:
    """What is to be said of cells such as 12.4k. Raises InputError where they are bytes, for k may be 1024 then."""
    notes = []
    for at, name in enumerate(text.names):
        example = next((row[at].strip() for row in text.sample if at < len(row) and has_size(row[at])), "")
        if example and understood(name).unit == "bytes":
            got = f"{name} is {example!r}, and nothing tells whether that is by 1000 or by 1024"
            bad(text.path, text.line, got, "write the bytes out")
        if example and understood(name).scale != 1:
            got = f"{name} is {example!r}, and its name has a thousand, million or billion of its own"
            bad(text.path, text.line, got, "write the numbers without letters")
        if example and (_counts(name, [example]) or understood(name).unit or understood(name).stat):
            notes.append(f"k, M and G in {name} are thousands, millions and billions")
    return tuple(notes)


def _counts(name: str, fields: list[str]) -> bool:
    """Is 12.4k in a column of this name a count or a rate, and no name or setting?"""
    measured = COUNTED | _MEASURED_RATES
    return bool(measured.intersection(words_of(name))) or (
        rank(name) == len(CASES) and not is_setting(name) and any("." in field for field in fields)
    )


def _measured(name: str, fields: list[str], decimal: str) -> bool:
    """Does a column of a dotted name hold figures, nearly every one of which is another, with decimals?"""
    return (
        "." in name
        and len(fields) > 3
        and len(set(fields)) > len(fields) / 2
        and all(_plain(field, decimal) for field in fields)
        and any("." in field for field in fields)
    )


def _plain(field: str, decimal: str) -> bool:
    if decimal == "," and "." in field:
        return False
    try:
        float(field.replace(",", ".") if decimal == "," else field)
    except ValueError:
        return False
    return "_" not in field


def _all_numbers(fields: Iterable[str], decimal: str) -> bool:
    return all(field in BLANKS or _plain(field, decimal) or number_of(field, decimal) is not None for field in fields)


def _by_arrow(text: Text, numbers: set[str]) -> Table | None:
    """The whole text by the fast reader; None where a field is not of its column's type, or a row too short or long."""
    # Imported here: 150 ms that nobody needs before a table is read.
    import pyarrow as pa
    from pyarrow import csv as arrow

    # Texts by their distinct values, which the reader can number as it goes; but for ids, which all differ.
    numbered = pa.dictionary(pa.int32(), pa.string())
    types = {
        own: pa.float64() if name in numbers else pa.string() if _differing(text, at) else numbered
        for at, (own, name) in enumerate(zip(text.header, text.names, strict=True))
    }
    try:
        table = arrow.read_csv(
            pa.BufferReader(text.data),
            # One thread takes as long as the file takes to read, and all of them together thrice the CPU time.
            read_options=arrow.ReadOptions(use_threads=False),
            parse_options=arrow.ParseOptions(delimiter=text.delimiter, newlines_in_values=b'"' in text.data),
            convert_options=arrow.ConvertOptions(
                column_types=types, null_values=list(BLANKS), strings_can_be_null=False, decimal_point=text.decimal
            ),
        )
        if table.column_names != list(text.header):
            return None
        columns = [_column(column) for column in table.columns]
    except (pa.ArrowException, ValueError, KeyError, OverflowError):
        return None
    return Table(dict(zip(text.names, columns, strict=True)), table.num_rows)


def _differing(text: Text, at: int) -> bool:
    """Has every row of the sample another text in this column?"""
    fields = [row[at] for row in text.sample if at < len(row)]
    return len(set(fields)) == len(fields)


def _column(column: pa.ChunkedArray) -> Column:
    """A column of the fast reader, whose own ways to make arrays of it load pandas."""
    chunks = column.unify_dictionaries().chunks
    if str(column.type) == "string":
        stored = _Stored(chunks)
        return Texts(np.arange(len(stored)), stored) if _all_differ(chunks) else Texts.of(list(stored))
    if str(column.type) != "double":
        codes = [np.frombuffer(chunk.indices.buffers()[1], np.int32, len(chunk), 4 * chunk.offset) for chunk in chunks]
        names = chunks[0].dictionary if chunks else None
        whole = np.concatenate(codes) if len(codes) != 1 else codes[0]
        return Texts(whole, names.to_pylist if names is not None else [], len(names) if names is not None else 0)
    values = [_floats(chunk) for chunk in chunks]
    return Numbers(np.concatenate(values) if len(values) != 1 else values[0])


class _Stored(Sequence[str]):
    """The texts of the fast reader, made as they are asked for: of a hundred thousand ids a few are."""

    def __init__(self, chunks: Sequence[pa.Array]) -> None:
        self._chunks = chunks

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(chunk.to_pylist() for chunk in self._chunks)

    def __getitem__(self, at: Any) -> Any:
        for chunk in self._chunks:
            if at < len(chunk):
                return chunk[int(at)].as_py()
            at -= len(chunk)
        raise IndexError(at)


def _all_differ(chunks: Sequence[pa.Array]) -> bool:
    """Is every text another, as is sure where all are equally long and their sums of eights of bytes differ?"""
    sums = []
    for chunk in chunks:
        if not len(chunk):
            continue
        _, offsets, texts = chunk.buffers()
        ends = np.frombuffer(offsets, np.int32, len(chunk) + 1, 4 * chunk.offset)
        size = int(ends[1] - ends[0])
        if not size or bool((np.diff(ends) != size).any()):
            return False
        eights = np.zeros((len(chunk), -(-size // 8) * 8), np.uint8)
        eights[:, :size] = np.frombuffer(texts, np.uint8, size * len(chunk), int(ends[0])).reshape(len(chunk), size)
        sums.append(eights.view(np.uint64) @ _WEIGHT ** np.arange(eights.shape[1] // 8, dtype=np.uint64))
    every = np.sort(np.concatenate(sums)) if sums else np.empty(0)
    return bool((every[1:] != every[:-1]).all())


def _floats(chunk: pa.Array) -> Floats:
    blanks, values = chunk.buffers()
    made = np.frombuffer(values, np.float64, len(chunk), 8 * chunk.offset)
    if blanks is None:
        return made
    bits = np.unpackbits(np.frombuffer(blanks, np.uint8), count=chunk.offset + len(chunk), bitorder="little")
    return np.where(bits[chunk.offset :] == 1, made, np.nan)


def _in_own_unit(name: str, values: Floats, unit: str) -> tuple[Floats, str]:
    """A known column in the unit that it has here, whatever its cells state."""
    known = BY_NAME.get(name)
    if known is None or unit not in TO_US or known.unit not in TO_US:
        return values, unit
    return values * (TO_US[unit] / TO_US[known.unit]), known.unit


def _converted(column: Texts, decimal: str, own: str) -> tuple[Floats, str] | None:
    """Texts as numbers, and their unit; times of several units in microseconds.

    own: the unit of cells that state none beside others that do. None where a cell is no number, or has another unit.
    """
    texts = column.distinct()
    pointed = [one for one in texts if "." in one]
    if decimal == "," and not any("," in one for one in texts) and not all(map(POINT_GROUPS.fullmatch, pointed)):
        decimal = "."  # this one column has decimal points, so what looks like thousands is none
    cells = [(math.nan, "") if (text := one.strip()) in BLANKS else number_of(text, decimal) for one in texts]
    if any(cell is None for cell in cells):
        return None
    known = [cell for cell in cells if cell is not None]
    if any(unit for _, unit in known):
        known = [(value, unit or own) for value, unit in known]
    units = {unit for value, unit in known if value == value}
    times = units & TO_US.keys()
    if len(units) > 1 and times != units:
        return None
    unit = "us" if len(units) > 1 else next(iter(units), "")
    size = {one: TO_US[one] if len(units) > 1 else 1.0 for one in units}
    figures = {one: value * size.get(stated, 1.0) for one, (value, stated) in zip(texts, known, strict=True)}
    return column.numbers(lambda one: figures.get(one, math.nan)), unit


def check_values(text: Text, table: Table, numbers: Iterable[str]) -> None:
    """Raise InputError, with its line, for an infinite number in one of these columns, and for an unknown verdict."""
    floats = [name for name in numbers if isinstance(table[name], Numbers)]
    if any(bool(np.isinf(table.floats(name)).any()) for name in floats):
        _find_fault(text, set(floats))
        raise InputError(ATTEMPT, on=str(text.path), got="a number is infinite")
    if "verdict" in table:
        unknown = set(table.texts("verdict").distinct()) - {"", *VERDICTS}
        if unknown:
            _find_verdict(text, unknown)


def _find_fault(text: Text, numbers: set[str]) -> None:
    """Go through the file row by row and raise for the first thing wrong, with its line."""
    for line, row in text.rows():
        if len(row) != len(text.names):
            bad(text.path, line, f"it has {len(row)} fields, the header has {len(text.names)}")
        for name, field in zip(text.names, row, strict=True):
            if name in numbers and field.strip() not in BLANKS and number_of(field, text.decimal) is None:
                todo = "a number is needed, or nothing for none"
                if _BYTES.search(field):
                    todo = (
                        f"it may be by 1000 or by 1024: write numbers, or `ignore: [{name}]` in {text.path.name}.yaml"
                    )
                bad(text.path, line, f"{name} is {field[:40]!r}", todo)


def _find_verdict(text: Text, unknown: set[str]) -> NoReturn:
    at = text.names.index("verdict")
    for line, row in text.rows():
        if len(row) > at and row[at] in unknown:
            bad(text.path, line, f"verdict is {row[at][:40]!r}", f"it must be one of {', '.join(VERDICTS)}")
    bad(text.path, text.line, "a verdict is unknown", f"it must be one of {', '.join(VERDICTS)}")
