"""Numbers as people put them in cells: with units, grouped thousands, decimal commas."""

from __future__ import annotations

import math
import re

from harness.columns.names import TO_US, stated_unit

BLANKS = ("", "NA", "NaN", "nan", "N/A", "n/a", "NULL", "null", "None", "<NA>", "#N/A", "-", "--", "---", "NaT")
"""Texts that stand for no value in a column of numbers."""

PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
GROUPED = "grouped"
_COMMA_GROUPS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")
_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+|\d{1,3}([. '\u2019\u00a0\u202f]\d{3})+,\d+)([eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?(\d*\.\d+|\d{1,3}(,\d{3})+\.\d+)([eE][+-]?\d+)?")
_WHOLE = re.compile(r"[+-]?\d{1,15}")
_CELL = re.compile(r"([+-]?[\d.,'_ \u2019\u00a0\u202f]*\d[.,]?(?:[eE][+-]?\d+)?)\s*([^\d\s.,'_\u2019+-][^\d\s]{0,11})?")
POINT_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
"""Thousands grouped by points, where commas are decimal."""

_SPAN = re.compile(r"(?:(\d{1,6}) days?,? )?(\d{1,4}):(\d\d):(\d\d(?:\.\d+)?)")
# Not m, which may be a thousandth; nor those of bytes, whose thousands may be 1024.
_PREFIXES = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
_MARKS = "[ '_\u2019\u00a0\u202f]"


def form_of(text: str) -> str:
    """How a cell writes its number: whole, decimal point, decimal comma, grouped (by commas, nothing more), or ""."""
    match = _CELL.fullmatch(text.strip())
    if match is None:
        return ""
    number = match[1].strip()
    if _WHOLE.fullmatch(number):
        return "whole"
    if _COMMA_GROUPS.fullmatch(number):
        return GROUPED if number.count(",") == 1 else "grouped twice"
    if _COMMA.fullmatch(number):
        return "decimal comma"
    return "decimal point" if _POINT.fullmatch(number) else ""


def number_of(text: str, decimal: str = ".") -> tuple[float, str] | None:
    """A cell's value and unit ("" without one): "12.3us", "9.4 Gbit/s" (in bit/s), "1,234.5", "1 234,5 ms", "00:01:30".

    None for no finite number.
    """
    text = text.strip()
    if PLAIN.fullmatch(text) and not (decimal == "," and POINT_GROUPS.fullmatch(text)):
        value = float(text)
        return (value, "") if math.isfinite(value) else None
    if span := _SPAN.fullmatch(text):
        days, hours, minutes, seconds = (float(part or 0) for part in span.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds, "s"
    match = _CELL.fullmatch(text)
    if match is None:
        return None
    unit, size = _sized(match[2]) if match[2] else ("", 1.0)
    if match[2] and not unit and size == 1:
        return None
    digits = _ungrouped(match[1].strip(), decimal)
    if digits is None or not PLAIN.fullmatch(digits):
        return None
    value = float(digits) * size
    return (value, unit) if math.isfinite(value) else None


def has_size(text: str) -> bool:
    """Does the cell end in a bare k, M or G: 12.4k?"""
    match = _CELL.fullmatch(text.strip())
    return bool(match and match[2] in _PREFIXES)


def _sized(text: str) -> tuple[str, float]:
    """The unit that follows a number, and what makes values be in it; of 12.4k the thousand, and B is bytes."""
    return ("", _PREFIXES[text]) if text in _PREFIXES else ("bytes", 1.0) if text == "B" else stated_unit(text)


def in_us(value: float, unit: str) -> float:
    """A time in microseconds."""
    return value * TO_US[unit]


def _ungrouped(digits: str, decimal: str) -> str | None:
    """The number with a decimal point and nothing between its thousands; None where groups are not of three."""
    group = "," if decimal == "." else r"\."
    whole, point, rest = digits.partition(decimal)
    for mark in (group, _MARKS):
        if re.search(mark, whole):
            if not re.fullmatch(rf"[+-]?\d{{1,3}}({mark}\d{{3}})+", whole):
                return None
            whole = re.sub(mark, "", whole)
    return whole + ("." if point else "") + rest
