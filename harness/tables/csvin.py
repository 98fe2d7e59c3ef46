"""A runs table from any CSV file, ours or hand-made: what cannot be read is named by line, what can be put right is."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd

from harness import columns
from harness.columns import VERDICTS
from harness.errors import InputError
from harness.store.regular import read_input
from harness.tables.cells import factor_columns

_MAX_BYTES = 1 << 30
BLANKS = ("", "NA", "NaN", "nan")
"""Texts that stand for no value in a column of numbers."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_QUOTED_FORMULA = re.compile(r"^'(?=[=+\-@\t\r])")
# A header with blanks around its commas, by somebody who lines up columns: blanks there belong to no field.
_SPACED = re.compile(rb"[^\r\n]*(,[ \t]|[ \t],)")
_BLANKS_AROUND = re.compile(rb'("(?:[^"]|"")*")|[ \t]*(,)[ \t]*|[ \t]+(?=[\r\n]|\Z)|^[ \t]+', re.MULTILINE)
_MINIMUM = "it needs a column `case` and at least one measured column with its unit, such as rtt_p50_us"
_TIMES = {"_ns": 1e-3, "_us": 1.0, "_ms": 1e3, "_s": 1e6}


def load_runs(path: str | Path) -> pd.DataFrame:
    """The runs in a CSV file: one row per run, `case` and at least one metric; everything else is optional.

    Text columns hold "" where blank, number columns are float64 with NaN. Which columns are factors, which
    are metrics: `harness.columns.is_factor`. Raises InputError with file:line for whatever cannot be read.
    """
    path = Path(path)
    data = _read(path)
    if _SPACED.match(data):
        data = _BLANKS_AROUND.sub(lambda match: match[1] or match[2] or b"", data)
    names = _header(path, data)
    numbers = {name for name in names if _is_number(name)}
    frame = _parse(path, data, names, numbers)
    if not len(frame):
        raise InputError("read a runs table", got="it has a header and no rows", where=f"{path}:1")
    _check_values(path, data, frame, numbers)
    quoted = b"'" in data
    for name in frame.columns:
        if quoted and name not in numbers and frame[name].str.startswith("'").any():
            frame[name] = frame[name].str.replace(_QUOTED_FORMULA, "", regex=True)
    return frame


def _read(path: Path) -> bytes:
    try:
        data = read_input(path, _MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        got = getattr(error, "strerror", None) or str(error)
        raise InputError("read a runs table", on=str(path), got=got) from error
    if len(data) > _MAX_BYTES:
        raise InputError("read a runs table", on=str(path), got=f"it is over {_MAX_BYTES >> 20} MiB", todo="split it")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        if not data.isascii():
            data.decode("utf-8")
    except UnicodeDecodeError as error:
        _bad(path, data.count(b"\n", 0, error.start) + 1, "it is not UTF-8 text")
    zero = data.find(b"\0")
    if zero >= 0:
        _bad(path, data.count(b"\n", 0, zero) + 1, "it is not text: it holds a zero byte")
    return data


def _header(path: Path, data: bytes) -> list[str]:
    line, names = next(_rows(path, data), (1, []))
    if not names:
        _bad(path, 1, "it is empty", _MINIMUM)
    for name in names:
        if not name.strip():
            _bad(path, line, "a column has no name")
        if names.count(name) > 1:
            _bad(path, line, f"column {name!r} is there twice")
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        _bad(path, line, "columns are not separated by commas", "save it as comma-separated CSV")
    if "case" not in names:
        _bad(path, line, "there is no column 'case'", _MINIMUM)
    if not any(_is_metric(name) for name in names):
        _bad(path, line, "there is no measured column", _MINIMUM)
    return names


def _is_metric(name: str) -> bool:
    known = columns.BY_NAME.get(name)
    return known in columns.METRICS if known else not columns.is_factor(name)


def _is_number(name: str) -> bool:
    known = columns.BY_NAME.get(name)
    return known.dtype != "text" if known else not columns.is_factor(name)


def _parse(path: Path, data: bytes, names: list[str], numbers: set[str]) -> pd.DataFrame:
    """The whole file, by the fast reader; where that fails, the slow one finds the line. Raises InputError."""
    # Imported here: 150 ms that nobody needs before a table is read.
    import pyarrow as pa
    from pyarrow import csv as arrow

    types = {name: pa.float64() if name in numbers else pa.string() for name in names}
    try:
        table = arrow.read_csv(
            pa.BufferReader(data),
            parse_options=arrow.ParseOptions(newlines_in_values=b'"' in data),
            convert_options=arrow.ConvertOptions(
                column_types=types, null_values=list(BLANKS), strings_can_be_null=False
            ),
        )
        if table.column_names != names:
            raise ValueError("header read in two ways")
        frame: pd.DataFrame = table.to_pandas()
    except (pa.ArrowException, ValueError, KeyError, OverflowError) as error:
        _find_fault(path, data, names, numbers)
        raise InputError("read a runs table", on=str(path), got=str(error).splitlines()[0]) from error
    return frame


def _check_values(path: Path, data: bytes, frame: pd.DataFrame, numbers: set[str]) -> None:
    """What the fast reader lets pass: infinities, and verdicts that nobody knows."""
    odd = bool(np.isinf(frame[sorted(numbers)].to_numpy()).any())
    if not odd and "verdict" in frame.columns:
        odd = not set(frame["verdict"].unique()) <= {"", *VERDICTS}
    if odd:
        _find_fault(path, data, [str(name) for name in frame.columns], numbers)
        raise InputError("read a runs table", on=str(path), got="a number is infinite or a verdict unknown")


def _find_fault(path: Path, data: bytes, names: list[str], numbers: set[str]) -> None:
    """Go through the file row by row and raise for the first thing wrong, with its line."""
    rows = _rows(path, data)
    next(rows, None)
    for line, row in rows:
        if len(row) != len(names):
            _bad(path, line, f"it has {len(row)} fields, the header has {len(names)}")
        for name, text in zip(names, row, strict=True):
            if name in numbers and text not in BLANKS and not _is_finite(text):
                _bad(path, line, f"{name} is {text[:40]!r}", "a number is needed, or nothing for none")
            if name == "verdict" and text not in ("", *VERDICTS):
                _bad(path, line, f"verdict is {text[:40]!r}", f"it must be one of {', '.join(VERDICTS)}")


def _is_finite(text: str) -> bool:
    text = text.strip(" \t")
    return bool(_NUMBER.fullmatch(text)) and math.isfinite(float(text))


def _rows(path: Path, data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Every row that is not empty, with the line on which it begins."""
    # Decoded as it is read: the header alone must not cost a pass over ten megabytes.
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    reader = csv.reader(text, strict=True)
    begins = 1
    try:
        for row in reader:
            if row:
                yield begins, row
            begins = reader.line_num + 1
    except csv.Error as error:
        _bad(path, begins, f"it is not CSV ({error})")


def _bad(path: Path, line: int, got: str, todo: str = "") -> NoReturn:
    raise InputError("read a runs table", got=got, todo=todo, where=f"{path}:{line}")


def repaired(runs: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table with known times in the unit of their column, and every run once; and what was done, in sentences."""
    runs, converted = _known_units(runs)
    runs, dropped = _each_run_once(runs)
    return runs, (*converted, *dropped)


def _known_units(runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """rtt_p99_ms becomes rtt_p99_us, which tables have; not where both are there."""
    findings = []
    for name in map(str, runs.columns):
        suffix = next((end for end in _TIMES if name.endswith(end)), "")
        if not suffix or name in columns.BY_NAME:
            continue
        for other, size in _TIMES.items():
            known = columns.BY_NAME.get(name.removesuffix(suffix) + other)
            if known is None or known not in columns.METRICS or known.name in runs.columns:
                continue
            factor = _TIMES[suffix] / size
            values = pd.to_numeric(runs[name]) * factor
            runs = runs.rename(columns={name: known.name}).assign(**{known.name: values})
            findings.append(f"column {name} is read as {known.name}, times {factor:g}")
            break
    return runs, findings


def _each_run_once(runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A run's row counts once, however often it is there; two rows of one run that differ: the first."""
    if "run_id" not in runs.columns:
        return runs, []
    # The same plan gives the same names: in different cells (of two machines, say) they are different runs.
    own = [name for name in ("run_id", "case", "host", *factor_columns(runs)) if name in runs.columns]
    again = runs.duplicated(own) & (runs["run_id"] != "")
    if not again.any():
        return runs, []
    alike = runs.duplicated() & again
    names = runs.loc[again, "run_id"].drop_duplicates()
    lead = f"{len(names)} runs are" if len(names) > 1 else "one run is"
    findings = [f"{lead} in the table more than once ({_some(names)}): each counts once"]
    if odd := int((again & ~alike).sum()):
        clash = runs.loc[again & ~alike, "run_id"].drop_duplicates()
        rows = "1 row was" if odd == 1 else f"{odd} rows were"
        findings.append(f"rows of one run_id do not agree ({_some(clash)}): the first counts, {rows} left out")
    return runs[~again].reset_index(drop=True), findings


def _some(names: pd.Series) -> str:
    more = len(names) - 3
    return ", ".join(map(str, names.iloc[:3])) + (f" and {more} more" if more > 0 else "")
