"""Pieces of the page: figures with their numbers, tables that scroll, sections."""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.html.markup import Child, Markup, join, tag


def figure(caption: str, *content: Child, table: Markup | None = None) -> Markup:
    """A chart with its caption and, folded away, its numbers as a table."""
    numbers = tag("details", tag("summary", "Numbers of this chart"), table, class_="numbers") if table else None
    return tag("figure", tag("figcaption", caption), *content, numbers)


def table(heads: Sequence[str], rows: Sequence[Sequence[Child]], texts: int = 1, caption: str = "") -> Markup:
    """A table of plain fields; the first `texts` columns are words, the others numbers."""
    head = [th(name, numeric=at >= texts) for at, name in enumerate(heads)]
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            *(td(field, "num" if at >= texts else "") for at, field in enumerate(row[1:], 1)),
        )
        for row in rows
    ]
    named = tag("caption", caption, class_="quiet") if caption else None
    return grid(head, body, label=caption or ", ".join(heads[:3]), caption=named)


def grid(
    head: Sequence[Child], *bodies: Sequence[Child], label: str, caption: Markup | None = None, class_: str = ""
) -> Markup:
    """A table that scrolls on its own: the fields of its head, and groups of rows. label: for screen readers."""
    parts = (tag("tbody", *body) for body in bodies)
    return scroller(tag("table", caption, tag("thead", tag("tr", *head)), *parts, class_=class_ or None), label)


def th(content: Child, *, numeric: bool = False) -> Markup:
    """The head of a column."""
    return tag("th", content, scope="col", class_="num" if numeric else None)


def td(content: Child, class_: str = "") -> Markup:
    """A field of a table; class_: "num" for a number."""
    return tag("td", content, class_=class_ or None)


def scroller(content: Child, label: str) -> Markup:
    """A box that scrolls sideways by touch, mouse and keyboard, so that the page never does."""
    return tag("div", content, class_="scroll", tabindex="0", role="region", aria_label=f"Table: {label}")


def section(identity: str, title: str, *content: Child, lead: str = "", short: str = "") -> Markup:
    """A part of the page under its heading; lead: how to read it; short: its name in the list of sections."""
    intro = tag("p", lead, class_="lead") if lead else None
    return tag(
        "section", tag("h2", title), intro, join(content), id=identity, aria_label=title, data_short=short or None
    )
