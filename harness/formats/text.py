"""Text of other programs: lines that know their place, forms that any table can hold, numbers of whatever locale."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_UNSEEN = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_LONGEST_NUMBER = 40
# Separators of thousands that C libraries print: comma, dot, apostrophe, space and its narrow and fixed cousins.
_GROUPED = re.compile(r"\d{1,3}(?:([.,'’\u00a0\u202f ])\d{3})(?:\1\d{3})*")
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")


@dataclass(frozen=True)
class Line:
    """One line without its end. number: from 1; cut: too long to be read whole; ended: the file goes on behind it."""

    number: int
    text: str
    cut: bool = False
    ended: bool = True


def lines_of(text: str) -> Iterator[Line]:
    """The lines of a whole output, without colour."""
    return (Line(number, without_colour(line)) for number, line in enumerate(text.splitlines(), 1))


def without_colour(text: str) -> str:
    """The text without a terminal's colour codes."""
    return _COLOUR.sub("", text)


def plain(text: str, width: int = 200) -> str:
    """Text that any table can hold: what cannot be printed or encoded is written out, the rest cut at `width`."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return text if len(text) <= width else text[: width - 3] + "..."


def looks_binary(text: str) -> bool:
    """Does it hold what no text file holds: control characters, or bytes that were not text?"""
    return "\ufffd" in text or bool(_UNSEEN.search(text))


def count(text: str) -> int | None:
    """A whole number, thousands grouped or not; None when it is none."""
    text = text.strip()
    if len(text) > _LONGEST_NUMBER:
        return None
    if text.isascii() and text.isdecimal():
        return int(text)
    if _GROUPED.fullmatch(text):
        return int("".join(char for char in text if char.isdecimal() and char.isascii()) or "0")
    return None


def decimal(text: str) -> float | None:
    """A finite number with a decimal point or comma; None when it is none.

    Where both appear the last one is the decimal sign; a lone comma is one as well, for these programs do not
    group thousands where they print decimals.
    """
    text = text.strip().strip("%").strip()
    if not text or len(text) > _LONGEST_NUMBER:
        return None
    point, comma = text.rfind("."), text.rfind(",")
    if comma >= 0:
        text = text.replace(".", "").replace(",", ".") if comma > point else text.replace(",", "")
    if not text.isascii() or not _DECIMAL.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def amount(text: str) -> float | None:
    """A number that cannot be negative (a time, a rate); None when it is none."""
    value = decimal(text)
    return value if value is not None and value >= 0 else None


def ratio(part: float | None, whole: float | None) -> float | None:
    """part / whole where both are there and it is defined."""
    if part is None or whole is None or whole <= 0:
        return None
    value = part / whole
    return value if math.isfinite(value) else None
