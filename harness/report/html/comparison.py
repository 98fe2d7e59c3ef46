"""One set against another: the comparison that `pollbench compare` prints, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from harness.analysis.compare import Comparison
from harness.report import comparison
from harness.report.html.frame import scroller
from harness.report.html.markup import Child, Markup, tag
from harness.report.layout import Block, Gap, Para, Table

OPEN = 2
"""Tables in sight; those of further metrics lie behind a fold."""

_FIELDS = {"good": "badge better", "bad": "badge worse", "warn": "short", "dim": "quiet"}
_LINES = {"warn": "caution", "dim": "quiet"}


def comparison_blocks(found: Comparison) -> Markup:
    """The whole comparison."""
    return blocks(comparison.document(found))


def blocks(document: Sequence[Block]) -> Markup:
    """Any document of paragraphs and tables; bullets in a row become one list, tables beyond two are folded."""
    parts: list[Child] = []
    folded: list[Child] = []
    tables = 0
    for kind, group in groupby((block for block in document if not isinstance(block, Gap)), key=_kind):
        for_now = list(group)
        if kind == "bullets":
            lines = [
                tag("li", each.text, class_=_LINES.get(each.style))
                for each in for_now
                if isinstance(each, Para)
            ]
            parts.append(tag("ul", *lines, class_="method"))
        for each in for_now if kind != "bullets" else ():
            if isinstance(each, Para):
                parts.append(tag("p", each.text, class_="plain" if each.style == "bold" else "quiet"))
            elif isinstance(each, Table):
                tables += 1
                (parts if tables <= OPEN else folded).append(_table(each))
        if kind == "table" and folded:
            said = f"{len(folded)} more {'metric' if len(folded) == 1 else 'metrics'}"
            parts.append(tag("details", tag("summary", said), *folded, class_="more"))
            folded = []
    return tag("div", *parts)


def _kind(block: Block) -> str:
    return (
        "table"
        if isinstance(block, Table)
        else "bullets"
        if isinstance(block, Para) and block.bullet
        else "text"
    )


def _table(found: Table) -> Markup:
    kept = [
        at
        for at in range(len(found.cols))
        if any(row[at].text for row in found.rows if not isinstance(row, str)) or not found.rows
    ]
    head = [
        tag(
            "th",
            " ".join(found.cols[at].header.split()),
            scope="col",
            class_="num" if found.cols[at].right else None,
        )
        for at in kept
    ]
    body = []
    for row in found.rows:
        if isinstance(row, str):
            body.append(tag("tr", tag("th", row, colspan=len(kept), scope="rowgroup", class_="group")))
            continue
        fields = []
        for at in kept:
            side = "num" if found.cols[at].right else ""
            said = tag("span", row[at].text, class_=_FIELDS.get(row[at].style)) if row[at].text else None
            fields.append(tag("td", said, class_=side or None) if at else tag("th", said, scope="row"))
        body.append(tag("tr", *fields))
    caption = tag("caption", found.caption) if found.caption else None
    return scroller(
        tag("table", caption, tag("thead", tag("tr", *head)), tag("tbody", *body)),
        found.caption or "comparison",
    )
