"""A table as CSV text: blank for missing, digits that mean something, no formulas, the same every time."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

from harness.columns import unit_of

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = frozenset("=+-@\t\r")
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\s?[A-Za-z%/]*")

# Clocks give nanoseconds, so three decimals of a microsecond; shares finer than 0.001 % are counting noise.
_DECIMALS = {"us": 3, "%": 3, "1/s": 2, "s": 6, "ms": 6, "ns": 0, "count": 0, "bytes": 0, "share": 5}


def to_csv(frame: pd.DataFrame) -> bytes:
    """The table as UTF-8 CSV with \\n line ends."""
    names = [str(name) for name in frame.columns]
    rows = zip(*[_cells(frame, name) for name in names], strict=True)
    return csv_text(chain([map(neutral, names)], rows)).encode("utf-8", "backslashreplace")


def csv_text(rows: Iterable[Iterable[str]]) -> str:
    """Rows of fields as CSV with \n line ends."""
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows(rows)
    return sink.getvalue()


def neutral(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe before = + - @ unless it is a number."""
    if text[:1] in _FORMULA and not _PLAIN_NUMBER.fullmatch(text):
        return "'" + text
    return text


def number(value: float, decimals: int | None = None) -> str:
    """A number with as many digits as its unit deserves, without trailing zeros; blank for NaN."""
    if value != value:
        return ""
    text = f"{value:.9g}" if decimals is None else f"{value:.{decimals}f}"
    if "." in text and "e" not in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def decimals_of(name: str) -> int | None:
    """Decimals for a column, also for a summary column that adds _low or _high to a metric's name."""
    return _DECIMALS.get(unit_of(name.removesuffix("_low").removesuffix("_high")) or "")


def _cells(frame: pd.DataFrame, name: str) -> list[str]:
    """A column as texts, each different value worked out once: most columns repeat a few."""
    # Imported here: whoever writes other rows as CSV needs none of it.
    import pandas as pd

    values = frame[name]
    codes, uniques = pd.factorize(values)
    if pd.api.types.is_bool_dtype(values.dtype):
        texts = [str(bool(value)).lower() for value in uniques]
    elif pd.api.types.is_numeric_dtype(values.dtype):
        decimals = decimals_of(name)
        texts = [number(float(value), decimals) for value in uniques]
    else:
        texts = [neutral(str(value)) for value in uniques]
    # A missing value has the code -1.
    texts.append("")
    return [texts[code] for code in codes.tolist()]
