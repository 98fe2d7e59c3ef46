"""Text of other programs: lines that know their place, and forms that any table can hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_UNSEEN = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


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
