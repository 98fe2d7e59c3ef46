"""HTML and SVG from Python calls: text is always escaped, markup is a type of its own; tables, figures, sections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from harness.report.words import clean

_VOID = {"meta", "input", "br"}
_EMPTY_IN_SVG = {"path", "line", "rect", "circle", "polygon"}


class Markup(str):
    """Text that is markup already: made by `tag` and `join` alone, never of anything read from a file."""

    __slots__ = ()


Child = str | Markup | None
Value = str | int | float | bool | None


def text(value: object) -> Markup:
    """Any text as markup that shows it as it is; control and direction-changing characters become `?`."""
    return Markup(escape(clean(str(value)), quote=True))


def tag(name: str, /, *children: Child, **attributes: Value) -> Markup:
    """An element. Attribute names: `class_` is class, underscores are hyphens; False and None are left out.

    Children that are not Markup are escaped; None is nothing.
    """
    opened = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{opened}>")
    if name in _EMPTY_IN_SVG and not children:
        return Markup(f"<{opened}/>")
    return Markup(f"<{opened}>{join(children)}</{name}>")


def join(children: Iterable[Child], between: str = "") -> Markup:
    """Several pieces one after another; `between` is plain text."""
    parts = [child if isinstance(child, Markup) else text(child) for child in children if child is not None]
    return Markup(text(between).join(parts))


def trusted(source: str) -> Markup:
    """Markup of our own making: path data, style sheet, script. Never give it anything read from a file."""
    return Markup(source)


def _attribute(key: str, value: Value) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{number(value) if isinstance(value, float) else text(value)}"'


def flag(value: bool) -> str:
    """The value of an attribute that is "true" or "false"."""
    return str(value).lower()


def number(value: float) -> str:
    """A coordinate with a tenth of a pixel."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def figure(caption: str, *content: Child, table: Markup | None = None) -> Markup:
    """A chart with its caption and, folded away, its numbers as a table."""
    numbers = tag("details", tag("summary", "Numbers of this chart"), table, class_="numbers") if table else None
    return tag("figure", tag("figcaption", caption), *content, numbers)


def table(heads: Sequence[str], rows: Sequence[Sequence[Child]], texts: int = 1, caption: str = "") -> Markup:
    """A table of plain fields; the first `texts` columns are words, the others numbers."""
    head = [th(name, numeric=at >= texts) for at, name in enumerate(heads)]
    body = []
    for first, *others in rows:
        fields = (td(field, "num" if at >= texts else "") for at, field in enumerate(others, 1))
        body.append(tag("tr", tag("th", first, scope="row"), *fields))
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
    parts = (tag("h2", title), intro, *content)
    return tag("section", *parts, id=identity, aria_label=title, data_short=short or None)
