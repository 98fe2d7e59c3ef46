"""Documents of paragraphs and tables, laid out as plain or coloured text for a width, or as markdown."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.report.words import BLANK, clean

Style = Literal["", "bold", "dim", "good", "bad", "warn"]

_CODES = {"bold": "1", "dim": "2", "good": "32", "bad": "31", "warn": "33"}
_GAP = "  "
# An underscore within a word, and a tilde that stands alone, are letters to every markdown reader.
_MARKUP = re.compile(r"[\\`*|<]|^>|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|~(?=\S)|(?<=\S)~|\](?=[(\[:])")


@dataclass(frozen=True)
class Col:
    """A column: header (lines split at \\n), side it is set against, and when it goes.

    keep: columns with the lowest number go first where the width is short; 9 never goes. name: what to call
    it then.
    """

    header: str
    right: bool = True
    keep: int = 9
    name: str = ""


@dataclass(frozen=True)
class Text:
    """The text of one field of a table, with its style."""

    text: str
    style: Style = ""


@dataclass(frozen=True)
class Table:
    """Rows under columns; a row that is a str is a heading within the table."""

    cols: tuple[Col, ...]
    rows: tuple[tuple[Text, ...] | str, ...]
    caption: str = ""


@dataclass(frozen=True)
class Para:
    """A paragraph, wrapped; `bullet` marks one of a list."""

    text: str
    style: Style = ""
    bullet: bool = False


@dataclass(frozen=True)
class Gap:
    """An empty line."""


Block = Table | Para | Gap


def to_text(blocks: Sequence[Block], width: int, color: bool) -> str:
    """The document as text of at most `width` columns where its words allow that; ends with a newline."""
    width = max(width, 20)
    lines: list[str] = []
    for block in blocks:
        match block:
            case Gap():
                lines.append("")
            case Para():
                lines += [_paint(line, block.style, color) for line in _wrapped(block, width)]
            case Table():
                lines += _table_lines(block, width, color)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def to_markdown(blocks: Sequence[Block]) -> str:
    """The document as GitHub-flavoured markdown; headings within a table become bold rows."""
    parts: list[str] = []
    for block in blocks:
        match block:
            case Gap():
                parts.append("")
            case Para():
                text = _escaped(block.text)
                # Two lines in a row would be one paragraph.
                parts += (
                    ["- " + text] if block.bullet else [f"**{text}**" if block.style == "bold" else text, ""]
                )
            case Table():
                parts += _markdown_table(block)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).strip("\n") + "\n"


def _wrapped(block: Para, width: int) -> list[str]:
    lead = "- " if block.bullet else ""
    return textwrap.wrap(
        clean(block.text),
        width,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_on_hyphens=False,
    ) or [""]


def _table_lines(table: Table, width: int, color: bool) -> list[str]:
    at, hidden = _fitting(table, width)
    cols = [table.cols[i] for i in at]
    rows = [row if isinstance(row, str) else [row[i] for i in at] for row in table.rows]
    widths = _widths(cols, rows)
    headers = [col.header.split("\n") for col in cols]
    height = max(map(len, headers), default=0)
    rule = "─" if color else "-"
    lines = [_paint(clean(table.caption), "bold", color)] if table.caption else []
    for level in range(height):
        # Headers stand on the rule: short ones leave their upper lines empty.
        texts = [([""] * (height - len(header)) + header)[level] for header in headers]
        lines.append(_paint(_line(texts, cols, widths), "bold", color))
    lines.append(_paint(_GAP.join(rule * size for size in widths), "dim", color))
    for row in rows:
        if isinstance(row, str):
            lines += [_paint(line, "bold", color) for line in textwrap.wrap(clean(row), width) or [""]]
            continue
        fields = [
            _paint(_padded(clean(field.text), size, col.right), field.style, color)
            for field, col, size in zip(row, cols, widths, strict=True)
        ]
        lines.append(_GAP.join(fields))
    if hidden:
        note = f"Not shown at this width: {', '.join(hidden)}."
        lines += [_paint(line, "dim", color) for line in textwrap.wrap(note, width)]
    return lines


def _fitting(table: Table, width: int) -> tuple[list[int], list[str]]:
    """Columns that fit, as places in the table, and the names of those that had to go."""
    at = [i for i, _ in enumerate(table.cols) if _any_text(table, i)]
    gone: list[int] = []
    while True:
        cols = [table.cols[i] for i in at]
        rows = [row if isinstance(row, str) else [row[i] for i in at] for row in table.rows]
        widths = _widths(cols, rows)
        weakest = min(at, key=lambda i: (table.cols[i].keep, -i))
        if sum(widths) + len(_GAP) * (len(widths) - 1) <= width or table.cols[weakest].keep >= 9:
            return at, [table.cols[i].name or " ".join(table.cols[i].header.split()) for i in sorted(gone)]
        at.remove(weakest)
        gone.append(weakest)


def _any_text(table: Table, at: int) -> bool:
    """A column that is empty in every row says nothing; it is left out without a word."""
    fields = {row[at].text for row in table.rows if not isinstance(row, str)}
    return not fields or not fields <= {"", BLANK} or table.cols[at].keep >= 9


def _widths(cols: Sequence[Col], rows: Sequence[Sequence[Text] | str]) -> list[int]:
    found = [max(map(_cells, col.header.split("\n"))) for col in cols]
    for row in rows:
        if not isinstance(row, str):
            found = [max(size, _cells(clean(field.text))) for size, field in zip(found, row, strict=True)]
    return found


def _line(texts: Sequence[str], cols: Sequence[Col], widths: Sequence[int]) -> str:
    fields = [_padded(text, size, col.right) for text, col, size in zip(texts, cols, widths, strict=True)]
    return _GAP.join(fields)


def _padded(text: str, width: int, right: bool) -> str:
    room = " " * (width - _cells(text))
    return room + text if right else text + room


def _cells(text: str) -> int:
    """Columns a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _paint(text: str, style: Style, color: bool) -> str:
    if not color or not style or not text.strip():
        return text
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"


def _markdown_table(table: Table) -> list[str]:
    at = [i for i, _ in enumerate(table.cols) if _any_text(table, i)]
    lines = ["", f"**{_escaped(table.caption)}**"] if table.caption else []
    lines.append("")
    lines.append(_piped([" ".join(table.cols[i].header.split()) for i in at]))
    lines.append(_piped(["---:" if table.cols[i].right else ":---" for i in at], escape=False))
    for row in table.rows:
        texts = [f"**{_escaped(row)}**", *[""] * (len(at) - 1)] if isinstance(row, str) else []
        lines.append(
            _piped(texts, escape=False) if isinstance(row, str) else _piped([row[i].text for i in at])
        )
    lines.append("")
    return lines


def _piped(texts: Sequence[str], escape: bool = True) -> str:
    return "| " + " | ".join(_escaped(text) if escape else text for text in texts) + " |"


def _escaped(text: str) -> str:
    """Text that markdown shows as it is; what cannot be mistaken for markup stays readable in the source."""
    return _MARKUP.sub(r"\\\g<0>", clean(text))
