"""Documents of paragraphs and tables, laid out as plain or coloured text for a width, or as markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal

from harness.analysis.compare import Factors
from harness.analysis.compare.model import Judged
from harness.report.words import BLANK, clean, factors, last_parts

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table as RichTable

Style = Literal["", "bold", "dim", "good", "bad", "warn"]

_BARE_END = re.compile(r"(?: |\x1b\[[\d;]+m *\x1b\[0m)+$")
_ROOM_IN_STYLE = re.compile(r" +(\x1b\[0m)$")
_HEADING_COLUMNS = 80
_STYLES = {"": "", "bold": "bold", "dim": "dim", "good": "green", "bad": "red", "warn": "yellow"}
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


TableRow = tuple[Text, ...]
JUDGED: dict[Judged, Style] = {"better": "good", "worse": "bad", "": "dim"}
"""How the words of a change are shown."""


@dataclass(frozen=True)
class Table:
    """Rows under columns; a row that is a str is a heading within the table.

    widest: columns that it may fill on however wide a terminal, 0 for all; rest: where to look for what had no room.
    """

    cols: tuple[Col, ...]
    rows: tuple[TableRow | str, ...]
    caption: str = ""
    widest: int = 0
    rest: str = ""


@dataclass(frozen=True)
class Para:
    """A paragraph, wrapped; `bullet` marks one of a list.

    about: the column, by its name, that it explains: where no table shows that column, it is left out.
    """

    text: str
    style: Style = ""
    bullet: bool = False
    about: str = ""


@dataclass(frozen=True)
class Gap:
    """An empty line between blocks."""


Block = Table | Para | Gap


def grouped(rows: Iterable[tuple[Factors, TableRow]]) -> tuple[TableRow | str, ...]:
    """Rows gathered by the factors that they are of, under a heading for every combination.

    Headings that no terminal has room for name their factors by fewer parts of the keys, as many as fit.
    """
    groups: dict[Factors, list[TableRow]] = {}
    for at, row in rows:
        groups.setdefault(at, []).append(row)
    most = max((name.count(".") + 1 for at in groups for name, _ in at), default=1)
    tries = ([factors(last_parts(at, parts)) for at in groups] for parts in range(most, 0, -1))
    headings = next((some for some in tries if max(map(len, some), default=0) <= _HEADING_COLUMNS), None)
    headings = headings or [factors(last_parts(at, 1)) for at in groups]
    return tuple(chain.from_iterable([at, *of] if at else of for at, of in zip(headings, groups.values(), strict=True)))


def render(blocks: Sequence[Block], fmt: str, width: int, color: bool) -> str:
    """The document as "text" of a width, coloured or not, or as "markdown"."""
    return to_text(blocks, width, color) if fmt == "text" else to_markdown(blocks)


def to_text(blocks: Sequence[Block], width: int, color: bool) -> str:
    """The document as text of at most `width` columns where its words allow that; ends with a newline."""
    width = max(width, 20)
    lines: list[str] = []
    shown = {""}
    for block in blocks:
        match block:
            case Gap():
                lines.append("")
            case Para():
                lines += _para_lines(block, width, color) if block.about in shown else []
            case Table():
                drawn, at = _table_lines(block, width, color)
                lines += drawn
                shown |= {block.cols[i].name for i in at}
    return "\n".join(map(_without_room, lines)) + "\n"


def _without_room(line: str) -> str:
    """The line without spaces at its end, styled ones included."""
    return _ROOM_IN_STYLE.sub("\\1", _BARE_END.sub("", line))


def to_markdown(blocks: Sequence[Block]) -> str:
    """The document as GitHub-flavoured markdown; headings within a table become bold rows."""
    parts: list[str] = []
    shown = {""}
    for block in blocks:
        match block:
            case Gap():
                parts.append("")
            case Para() if block.about not in shown:
                pass
            case Para():
                text = _escaped(block.text)
                # Two lines in a row would be one paragraph.
                parts += ["- " + text] if block.bullet else [f"**{text}**" if block.style == "bold" else text, ""]
            case Table():
                parts += _markdown_table(block)
                shown |= {column.name for i, column in enumerate(block.cols) if _any_text(block, i)}
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).strip("\n") + "\n"


def _console(width: int, color: bool) -> Console:
    """A console that knows nothing of the real one: who calls decides on width and colour."""
    # Imported here: no other format needs it.
    from rich.console import Console

    return Console(
        width=width,
        color_system="standard" if color else None,
        force_terminal=color,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )


def _lines(content: RenderableType, width: int, color: bool) -> list[str]:
    console = _console(width, color)
    with console.capture() as captured:
        console.print(content)
    return captured.get().splitlines()


def _para_lines(block: Para, width: int, color: bool) -> list[str]:
    from rich.table import Table as Grid
    from rich.text import Text as Words

    words = Words(clean(block.text), _STYLES[block.style])
    if not block.bullet:
        return _lines(words, width, color)
    grid = Grid.grid(padding=(0, 1, 0, 0))
    grid.add_row(Words("-", _STYLES[block.style]), words)
    return _lines(grid, width, color)


def _table_lines(table: Table, width: int, color: bool) -> tuple[list[str], list[int]]:
    """The table's lines, and which columns had room."""
    from rich.measure import Measurement

    at = [i for i, _ in enumerate(table.cols) if _any_text(table, i)]
    gone: list[int] = []
    width = min(width, table.widest or width)
    endless = _console(10_000, color)
    while True:
        made = _rich_table(table, at, color)
        wide = Measurement.get(endless, endless.options, made).maximum
        weakest = min(at, key=lambda i: (table.cols[i].keep, -i))
        if wide <= width or table.cols[weakest].keep >= 9:
            break
        at.remove(weakest)
        gone.append(weakest)
    drawn = _lines(made, max(wide, width), color)
    head = len(drawn) - sum(not isinstance(row, str) for row in table.rows)
    body = iter(drawn[head:])
    lines = _para_lines(Para(table.caption, "bold"), width, color) if table.caption else []
    lines += drawn[:head]
    for row in table.rows:
        lines += _para_lines(Para(row, "bold"), width, color) if isinstance(row, str) else [next(body)]
    if gone:
        names = (table.cols[i].name or " ".join(table.cols[i].header.split()) for i in sorted(gone))
        rest = f"Not shown: {', '.join(names)}; {table.rest}." if table.rest else ""
        rest = rest or f"Not shown at this width: {', '.join(names)}."
        lines += _para_lines(Para(rest, "dim"), width, color)
    return lines, at


def _rich_table(table: Table, at: Sequence[int], color: bool) -> RichTable:
    """The table's rows, without its headings, which span columns: something no rich table can do."""
    from rich.box import Box
    from rich.table import Table as Made
    from rich.text import Text as Words

    rule = "─" if color else "-"
    made = Made(
        box=Box(f"    \n    \n {rule}  \n" + "    \n" * 5, ascii=not color),
        header_style="bold",
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for i in at:
        col = table.cols[i]
        side: Literal["right", "left"] = "right" if col.right else "left"
        made.add_column("\n".join(map(clean, col.header.split("\n"))), justify=side, no_wrap=True, vertical="bottom")
    for row in table.rows:
        if not isinstance(row, str):
            made.add_row(*(Words(clean(row[i].text), _STYLES[row[i].style]) for i in at))
    return made


def _any_text(table: Table, at: int) -> bool:
    """A column that is empty in every row says nothing; it is left out without a word."""
    fields = {row[at].text for row in table.rows if not isinstance(row, str)}
    return not fields or not fields <= {"", BLANK} or table.cols[at].keep >= 9


def _markdown_table(table: Table) -> list[str]:
    at = [i for i, _ in enumerate(table.cols) if _any_text(table, i)]
    lines = ["", f"**{_escaped(table.caption)}**"] if table.caption else []
    rows = [[_escaped(" ".join(table.cols[i].header.split())) for i in at]]
    rows.append(["---:" if table.cols[i].right else ":---" for i in at])
    for row in table.rows:
        if isinstance(row, str):
            rows.append([f"**{_escaped(row)}**", *[""] * (len(at) - 1)])
        else:
            rows.append([_escaped(row[i].text) for i in at])
    return [*lines, "", *(f"| {' | '.join(row)} |" for row in rows), ""]


def _escaped(text: str) -> str:
    """Text that markdown shows as it is; what cannot be mistaken for markup stays readable in the source."""
    return _MARKUP.sub(r"\\\g<0>", clean(text))
