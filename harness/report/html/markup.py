"""HTML and SVG from Python calls: text is always escaped, markup is a type of its own."""

from __future__ import annotations

from collections.abc import Iterable
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


def number(value: float) -> str:
    """A coordinate with a tenth of a pixel."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"
