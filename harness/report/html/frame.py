"""Pieces of the page: figures with their numbers, tables that scroll, sections."""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.html.markup import Child, Markup, join, tag


def figure(caption: str, *content: Child, table: Markup | None = None, note: str = "") -> Markup:
    """A chart with its caption and, folded away, its numbers as a table."""
    below = [tag("p", note, class_="note")] if note else []
    if table is not None:
        below.append(tag("details", tag("summary", "Numbers of this chart"), table, class_="numbers"))
    return tag("figure", tag("figcaption", caption), *content, *below)


def table(heads: Sequence[str], rows: Sequence[Sequence[Child]], texts: int = 1, caption: str = "") -> Markup:
    """A table that scrolls on its own; the first `texts` columns are words, the others numbers."""
    sides = ["" if at < texts else "num" for at in range(len(heads))]
    head = tag(
        "tr",
        *(tag("th", name, scope="col", class_=side or None) for name, side in zip(heads, sides, strict=True)),
    )
    body = [_row(row, sides) for row in rows]
    named = tag("caption", caption, class_="quiet") if caption else None
    return scroller(
        tag("table", named, tag("thead", head), tag("tbody", *body)), caption or ", ".join(heads[:3])
    )


def _row(row: Sequence[Child], sides: Sequence[str]) -> Markup:
    fields = [
        tag("th", field, scope="row") if at == 0 else tag("td", field, class_=side or None)
        for at, (field, side) in enumerate(zip(row, sides, strict=True))
    ]
    return tag("tr", *fields)


def scroller(content: Child, label: str) -> Markup:
    """A box that scrolls sideways by touch, mouse and keyboard, so that the page never does."""
    return tag("div", content, class_="scroll", tabindex="0", role="region", aria_label=f"Table: {label}")


def section(identity: str, title: str, *content: Child, lead: str = "", short: str = "") -> Markup:
    """A part of the page under its heading; lead: how to read it; short: its name in the list of sections."""
    intro = tag("p", lead, class_="lead") if lead else None
    return tag(
        "section",
        tag("h2", title),
        intro,
        join(content),
        id=identity,
        aria_label=title,
        data_short=short or None,
    )
