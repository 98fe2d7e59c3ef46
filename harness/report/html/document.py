"""A document of paragraphs and tables, such as `pollbench compare` prints, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from harness.report.html.markup import Child, Markup, grid, tag, td, th
from harness.report.layout import Block, Gap, Para, Table

OPEN = 2
"""Tables in sight; those of further metrics lie behind a fold."""

_FIELDS = {"good": "badge better", "bad": "badge worse", "warn": "short", "dim": "quiet"}
_LINES = {"warn": "caution", "dim": "quiet"}


def blocks(document: Sequence[Block]) -> Markup:
    """The document; bullets in a row become one list, tables beyond two are folded."""
    parts: list[Child] = []
    room = OPEN
    for kind, group in groupby((block for block in document if not isinstance(block, Gap)), key=_kind):
        alike: list[Any] = list(group)
        if kind == "bullets":
            items = (tag("li", line.text, class_=_LINES.get(line.style)) for line in alike)
            parts.append(tag("ul", *items, class_="method"))
        elif kind == "text":
            parts += (tag("p", line.text, class_="plain" if line.style == "bold" else "quiet") for line in alike)
        else:
            made = [_table(table) for table in alike]
            parts += made[:room]
            if more := made[room:]:
                title = f"{len(more)} more {'metric' if len(more) == 1 else 'metrics'}"
                parts.append(tag("details", tag("summary", title), *more, class_="more"))
            room = max(room - len(made), 0)
    return tag("div", *parts)


def _kind(block: Block) -> str:
    if isinstance(block, Table):
        return "table"
    return "bullets" if isinstance(block, Para) and block.bullet else "text"


def _table(table: Table) -> Markup:
    rows = [row for row in table.rows if not isinstance(row, str)]
    kept = [at for at in range(len(table.cols)) if any(row[at].text for row in rows) or not rows]
    sides = ["num" if col.right else "" for col in table.cols]
    body = []
    for row in table.rows:
        if isinstance(row, str):
            body.append(tag("tr", tag("th", row, colspan=len(kept), scope="rowgroup", class_="group")))
            continue
        fields = []
        for at in kept:
            text = tag("span", row[at].text, class_=_FIELDS.get(row[at].style)) if row[at].text else None
            fields.append(td(text, sides[at]) if at else tag("th", text, scope="row"))
        body.append(tag("tr", *fields))
    caption = tag("caption", table.caption) if table.caption else None
    head = [th(" ".join(table.cols[at].header.split()), numeric=table.cols[at].right) for at in kept]
    return grid(head, body, label=table.caption or "comparison", caption=caption)
