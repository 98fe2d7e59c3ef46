"""One set against another: the comparison that `pollbench compare` prints, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from harness.compare import Comparison
from harness.report import comparison
from harness.report.html.frame import scroller
from harness.report.html.markup import Child, Markup, tag
from harness.report.layout import Block, Para, Table

_CLASSES = {"good": "badge better", "bad": "badge worse", "warn": "short", "dim": "quiet"}


def comparison_blocks(found: Comparison) -> Markup:
    """The whole comparison."""
    return blocks(comparison.document(found))


def blocks(document: Sequence[Block]) -> Markup:
    """Any document of paragraphs and tables; bullets in a row become one list."""
    parts: list[Child] = []
    bullets: list[Child] = []
    for block in [*document, Para("", bullet=False)]:
        if isinstance(block, Para) and block.bullet:
            bullets.append(tag("li", block.text, class_=_CLASSES.get(block.style)))
            continue
        if bullets:
            parts.append(tag("ul", *bullets, class_="method"))
            bullets = []
        if isinstance(block, Para) and block.text:
            parts.append(tag("p", block.text, class_="plain" if block.style == "bold" else "quiet"))
        elif isinstance(block, Table):
            parts.append(_table(block))
    return tag("div", *parts)


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
            said = tag("span", row[at].text, class_=_CLASSES.get(row[at].style)) if row[at].text else None
            fields.append(tag("td", said, class_=side or None) if at else tag("th", said, scope="row"))
        body.append(tag("tr", *fields))
    caption = tag("caption", found.caption) if found.caption else None
    return scroller(
        tag("table", caption, tag("thead", tag("tr", *head)), tag("tbody", *body)),
        found.caption or "comparison",
    )
