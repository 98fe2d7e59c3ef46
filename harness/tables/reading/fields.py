"""The columns of a CSV text as numbers or texts; what is no number in a column that must be one is named by line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NoReturn

import numpy as np
import pandas as pd

from harness.columns import BY_NAME, TO_US, VERDICTS
from harness.columns.names import understood
from harness.errors import InputError
from harness.tables.reading.account import Mapping
from harness.tables.reading.dialect import Text
from harness.tables.reading.numbers import BLANKS, number_of
from harness.tables.reading.opened import ATTEMPT, bad
from harness.tables.reading.roles import is_ours
from harness.tables.reading.vocabulary import is_setting, words_of

_PADDED = re.compile(r"[+-]?0\d+")
_QUOTED_FORMULA = re.compile(r"^'(?=[=+\-@\t\r])")
_VERSIONS = {"version", "release", "build", "kernel", "uname", "commit", "sha", "hash", "rev", "revision", "os", "tag"}


def columns_of(text: Text, mapping: Mapping) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table, number columns as float64 with NaN and the others as text; and the units that cells carry, by column.

    Times with units in their cells are in microseconds then. Raises InputError with file:line.
    """
    kinds = {name: _kind(name, at, text, mapping) for at, name in enumerate(text.names)}
    numbers = {name for name, kind in kinds.items() if kind == "number"}
    frame = _by_arrow(text, numbers)
    units: dict[str, str] = {}
    if frame is None:
        # A cell beyond the sample is no plain number: all as text, and numbers of what can be.
        frame = _by_arrow(text, set())
        if frame is None:
            _find_fault(text, numbers)
            raise InputError(ATTEMPT, on=str(text.path), got="its rows cannot be read")
        frame = _without_headers(frame)
    for name in map(str, frame.columns):
        if kinds[name] in ("cells", "number") and not pd.api.types.is_float_dtype(frame[name].dtype):
            made = _converted(frame[name], text.decimal, mapping.units.get(name, "") or understood(name).unit)
            if made is not None:
                frame[name], units[name] = _in_own_unit(name, *made)
            elif must_be_number(name, mapping):
                _find_fault(text, {name})
                bad(text.path, text.line, f"{name} has cells of several units", "state one unit for all of them")
    if b"'" in text.data:
        for name in map(str, frame.columns):
            # What a writer of ours kept spreadsheets from taking for a formula.
            if not pd.api.types.is_numeric_dtype(frame[name].dtype) and frame[name].str.startswith("'").any():
                frame[name] = frame[name].str.replace(_QUOTED_FORMULA, "", regex=True)
    return frame, {name: unit for name, unit in units.items() if unit}


def _without_headers(frame: pd.DataFrame) -> pd.DataFrame:
    """The texts without the rows that repeat the header, as of files that were put one below the other."""
    again = pd.Series(True, index=frame.index)
    for name in frame.columns:
        again &= frame[name] == str(name)
        if not again.any():
            return frame
    return frame[~again].reset_index(drop=True)


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
    with_units = any((cell := number_of(field, text.decimal)) and cell[1] for field in fields)
    return "text" if with_units and is_setting(name) and not asked else "cells"


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
    try:
        float(field if decimal == "." else field.replace(",", "."))
    except ValueError:
        return False
    return "_" not in field


def _all_numbers(fields: Iterable[str], decimal: str) -> bool:
    return all(field in BLANKS or _plain(field, decimal) or number_of(field, decimal) is not None for field in fields)


def _by_arrow(text: Text, numbers: set[str]) -> pd.DataFrame | None:
    """The whole text by the fast reader; None where a field is not of its column's type, or a row too short or long."""
    # Imported here: 150 ms that nobody needs before a table is read.
    import pyarrow as pa
    from pyarrow import csv as arrow

    types = {
        own: pa.float64() if name in numbers else pa.string() for own, name in zip(text.header, text.names, strict=True)
    }
    try:
        table = arrow.read_csv(
            pa.BufferReader(text.data),
            parse_options=arrow.ParseOptions(delimiter=text.delimiter, newlines_in_values=b'"' in text.data),
            convert_options=arrow.ConvertOptions(
                column_types=types, null_values=list(BLANKS), strings_can_be_null=False, decimal_point=text.decimal
            ),
        )
        if table.column_names != list(text.header):
            return None
        frame: pd.DataFrame = table.rename_columns(list(text.names)).to_pandas()
    except (pa.ArrowException, ValueError, KeyError, OverflowError):
        return None
    return frame


def _in_own_unit(name: str, values: pd.Series, unit: str) -> tuple[pd.Series, str]:
    """A known column in the unit that it has here, whatever its cells state."""
    known = BY_NAME.get(name)
    if known is None or unit not in TO_US or known.unit not in TO_US:
        return values, unit
    return values * (TO_US[unit] / TO_US[known.unit]), known.unit


def _converted(values: pd.Series, decimal: str, own: str) -> tuple[pd.Series, str] | None:
    """Texts as numbers, and their unit; times of several units in microseconds.

    own: the unit of cells that state none beside others that do. None where a cell is no number, or has another unit.
    """
    codes, uniques = pd.factorize(values)
    cells = [
        (math.nan, "") if (text := str(value).strip()) in BLANKS else number_of(text, decimal) for value in uniques
    ]
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
    figures = np.array([value * size.get(stated, 1.0) for value, stated in known] + [math.nan])
    return pd.Series(figures[codes], index=values.index), unit


def check_values(text: Text, frame: pd.DataFrame, numbers: Iterable[str]) -> None:
    """Raise InputError, with its line, for an infinite number in one of these columns, and for an unknown verdict."""
    floats = [name for name in numbers if pd.api.types.is_float_dtype(frame[name].dtype)]
    if floats and bool(np.isinf(frame[floats].to_numpy()).any()):
        _find_fault(text, set(floats))
        raise InputError(ATTEMPT, on=str(text.path), got="a number is infinite")
    if "verdict" in frame.columns:
        unknown = set(frame["verdict"].unique()) - {"", *VERDICTS}
        if unknown:
            _find_verdict(text, unknown)


def _find_fault(text: Text, numbers: set[str]) -> None:
    """Go through the file row by row and raise for the first thing wrong, with its line."""
    for line, row in text.rows():
        if len(row) != len(text.names):
            bad(text.path, line, f"it has {len(row)} fields, the header has {len(text.names)}")
        for name, field in zip(text.names, row, strict=True):
            if name in numbers and field.strip() not in BLANKS and number_of(field, text.decimal) is None:
                bad(text.path, line, f"{name} is {field[:40]!r}", "a number is needed, or nothing for none")


def _find_verdict(text: Text, unknown: set[str]) -> NoReturn:
    at = text.names.index("verdict")
    for line, row in text.rows():
        if len(row) > at and row[at] in unknown:
            bad(text.path, line, f"verdict is {row[at][:40]!r}", f"it must be one of {', '.join(VERDICTS)}")
    bad(text.path, text.line, "a verdict is unknown", f"it must be one of {', '.join(VERDICTS)}")
