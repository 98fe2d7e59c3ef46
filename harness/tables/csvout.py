"""A table as CSV text: blank for missing, digits that mean something, no formulas, the same every time."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pandas as pd

from harness.columns import unit_of

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\s?[A-Za-z%/]*")

# Clocks give nanoseconds, so three decimals of a microsecond; shares finer than 0.001 % are counting noise.
_DECIMALS = {"us": 3, "%": 3, "1/s": 2, "s": 6, "ms": 6, "ns": 0, "count": 0, "bytes": 0, "share": 5}

_MOST_KNOWN = 10_000


def to_csv(frame: pd.DataFrame) -> bytes:
    """The table as UTF-8 CSV with \\n line ends."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow([neutral(str(name)) for name in frame.columns])
    writer.writerows(zip(*[_cells(frame, name) for name in frame.columns], strict=True))
    return sink.getvalue().encode("utf-8", "backslashreplace")


def neutral(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe before = + - @ unless it is a number."""
    if text.startswith(_FORMULA) and not _PLAIN_NUMBER.fullmatch(text):
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
    for suffix in ("_low", "_high"):
        name = name.removesuffix(suffix)
    return _DECIMALS.get(unit_of(name) or "")


def _cells(frame: pd.DataFrame, name: str) -> list[str]:
    values = frame[name]
    if pd.api.types.is_bool_dtype(values.dtype):
        return ["" if pd.isna(value) else str(bool(value)).lower() for value in values]
    if pd.api.types.is_numeric_dtype(values.dtype):
        decimals = decimals_of(str(name))
        told = _Told(lambda value: number(float(value), decimals))
    else:
        told = _Told(lambda value: "" if pd.isna(value) else neutral(str(value)))
    # As plain Python values, which are met one by one far faster than a column's; most columns repeat a few.
    return [told[value] for value in values.tolist()]


class _Told(dict[Any, str]):
    """Values to their text, each worked out once."""

    def __init__(self, say: Callable[[Any], str]) -> None:
        super().__init__()
        self._say = say

    def __missing__(self, value: Any) -> str:
        text = self._say(value)
        # Not-a-number is not equal to itself: each is told anew. And figures of many digits hardly come twice.
        if len(self) < _MOST_KNOWN and value == value:
            self[value] = text
        return text
