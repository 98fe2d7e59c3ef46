"""Text of other programs: lines that know their place, forms that any table can hold, numbers of whatever locale."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

NUMBER = r"-?\d{1,30}(?:[.,]\d{1,30}){0,12}"
"""What a number of these programs looks like in a line; it ends in a digit: no comma or full stop behind it counts."""

# Control sequences, what sets a window's title, and the choice of a character set.
_COLOUR = re.compile(r"\x1b(?:\[[0-9;?]{0,40}[A-Za-z]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|[()][0-9A-Z])")
_UNSEEN = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_LONGEST_NUMBER = 40
# Separators of thousands that C libraries print: comma, dot, apostrophe, space and its narrow and fixed cousins.
_GROUPED = re.compile(r"\d{1,3}(?:([.,'’\u00a0\u202f ])\d{3})(?:\1\d{3})*")
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_GROUPS = re.compile(r"[+-]?\d{1,3}(?:(,)\d{3}(?:,\d{3})*(?:\.\d+)?|(\.)\d{3}(?:\.\d{3})*,\d+)")
_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d{1,3})?")
_SPAN = re.compile(r"(\d{1,30}(?:\.\d{1,30})?)(ns|[uµμ]s|ms|s|m|h)")
_SPANS = {"ns": 1e-3, "us": 1.0, "µs": 1.0, "μs": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}
_DIGITS = re.compile(r"\d+(?:[.,:]\d+)*")


@dataclass(frozen=True)
class Line:
    """One line without its end. number: from 1; cut: too long to be read whole; ended: the file goes on behind it.

    It knows which of its numbers a format has used, for those that nobody uses are listed (`unused`).
    """

    number: int
    text: str
    cut: bool = False
    ended: bool = True
    _used: list[tuple[int, int]] = field(default_factory=list, compare=False, repr=False)

    def search(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """As the pattern's own search; what its groups match has been used."""
        return self._marked(pattern.search(self.text))

    def fullmatch(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """As the pattern's own fullmatch; what its groups match has been used."""
        return self._marked(pattern.fullmatch(self.text))

    def _marked(self, match: re.Match[str] | None) -> re.Match[str] | None:
        if match:
            self._used.extend(match.span(group) for group in range(1, match.re.groups + 1))
        return match

    def use(self) -> None:
        """All of it has been used, or the format lists by itself what was not."""
        self._used.append((0, len(self.text)))

    def unused(self) -> list[str]:
        """The numbers in it that were not used, as they stand there."""
        if self._used and self._used[-1] == (0, len(self.text)):
            return []
        return [number[0] for number in _DIGITS.finditer(self.text) if not self._is_used(number)]

    def _is_used(self, number: re.Match[str]) -> bool:
        return any(start < number.end() and number.start() < end for start, end in self._used)


def lines_of(text: str) -> Iterator[Line]:
    """The lines of a whole output, without colour."""
    return (Line(number, without_colour(line)) for number, line in enumerate(text.splitlines(), 1))


def without_colour(text: str) -> str:
    """The text without a terminal's colour codes."""
    return _COLOUR.sub("", text)


def plain(text: str, width: int = 200) -> str:
    """Text that any table can hold: what cannot be printed or encoded is written out, the rest cut at `width`."""
    if not text.isprintable():
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

    A lone comma is a decimal one, for these programs do not group thousands where they print decimals. With both signs
    in it the last is the decimal one, and what stands before must be groups of three.
    """
    text = text.strip().strip("%").strip()
    if not text or len(text) > _LONGEST_NUMBER or not text.isascii():
        return None
    if _COMMA.fullmatch(text):
        text = text.replace(",", ".")
    elif groups := _GROUPS.fullmatch(text):
        text = text.replace(",", "") if groups[1] else text.replace(".", "").replace(",", ".") if groups[2] else text
    if not _DECIMAL.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def amount(text: str) -> float | None:
    """A number that cannot be negative (a time, a rate); None when it is none."""
    value = decimal(text)
    return value if value is not None and value >= 0 else None


def duration_us(text: str) -> float | None:
    """A time with its units, as programs in Go, Rust and C print it (1m2.5s, 90.4ms, 12us), in us; None when none."""
    parts = [(amount(number), _SPANS[unit]) for number, unit in _SPAN.findall(text)]
    whole = "".join(_SPAN.split(text)[::3]).strip()
    if not parts or whole or any(number is None for number, _ in parts):
        return None
    return sum((number or 0.0) * size for number, size in parts)


def ratio(part: float | None, whole: float | None) -> float | None:
    """part / whole where both are there and it is defined."""
    if part is None or whole is None or whole <= 0:
        return None
    value = part / whole
    return value if math.isfinite(value) else None
