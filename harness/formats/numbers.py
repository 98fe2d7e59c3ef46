"""Numbers as foreign programs print them, in whatever locale they ran: plain, grouped, or with a decimal comma."""

from __future__ import annotations

import math
import re

_LONGEST = 40
# Separators of thousands that C libraries print: comma, dot, apostrophe, space and its narrow and fixed cousins.
_GROUPED = re.compile(r"\d{1,3}(?:([.,'’\u00a0\u202f ])\d{3})(?:\1\d{3})*")
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")


def count(text: str) -> int | None:
    """A whole number, thousands grouped or not; None when it is none."""
    text = text.strip()
    if len(text) > _LONGEST:
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
    if not text or len(text) > _LONGEST:
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
