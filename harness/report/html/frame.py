"""The paper a chart is drawn on: axes with units, grid, caption, and the table of the same numbers below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.report.html.markup import Child, Markup, join, number, tag, trusted
from harness.report.html.scale import Scale

WIDTH, HEIGHT = 440, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 28, 46

Label = Callable[[float], str]


@dataclass(frozen=True)
class Axes:
    """Scales of a chart with the words at them; `x_ticks` and `y_ticks` replace the round ones."""

    x: Scale
    y: Scale
    x_name: str
    y_name: str
    x_text: Label
    y_text: Label
    x_ticks: Sequence[float] | None = None
    y_ticks: Sequence[float] | None = None


def svg(
    axes: Axes, *content: Child, label: str, height: int = HEIGHT, data: Mapping[str, str] | None = None
) -> Markup:
    """An inline SVG with its axes. `label` says in words what it shows; `data` becomes data-* attributes."""
    return tag(
        "svg",
        tag("title", label),
        _grid(axes, height),
        *content,
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        aria_label=label,
        tabindex="0" if data else None,
        class_="chart",
        **{f"data_{name}": value for name, value in (data or {}).items()},
    )


def scale_data(axes: Axes) -> dict[str, str]:
    """What the page's script needs to turn places back into values."""
    return {name: _spelled(getattr(axes, name)) for name in ("x", "y")}


def _spelled(scale: Scale) -> str:
    kind = "log" if scale.log else "lin"
    return f"{kind} {scale.low:.6g} {scale.high:.6g} {scale.start:g} {scale.stop:g}"


def _grid(axes: Axes, height: int) -> Markup:
    parts: list[Child] = []
    floor, right = height - BOTTOM, WIDTH - RIGHT
    for value in axes.y_ticks if axes.y_ticks is not None else axes.y.ticks(6):
        y = axes.y.at(value)
        parts.append(tag("line", x1=LEFT, x2=right, y1=y, y2=y, class_="grid"))
        parts.append(tag("text", axes.y_text(value), x=LEFT - 7, y=y + 4, class_="tick end"))
    for value in axes.x_ticks if axes.x_ticks is not None else axes.x.ticks(5):
        x = axes.x.at(value)
        parts.append(tag("line", x1=x, x2=x, y1=TOP, y2=floor, class_="grid"))
        parts.append(tag("text", axes.x_text(value), x=x, y=floor + 17, class_="tick mid"))
    parts.append(tag("line", x1=LEFT, x2=right, y1=floor, y2=floor, class_="axis"))
    parts.append(tag("text", axes.x_name, x=(LEFT + right) / 2, y=height - 8, class_="name mid"))
    # Above the axis and not along it: nobody has to turn their head, and it never runs into the ticks.
    parts.append(tag("text", axes.y_name, x=2, y=TOP - 15, class_="name"))
    return tag("g", *parts, aria_hidden="true")


def path(points: Sequence[tuple[float, float]], class_: str, dash: str = "") -> Markup:
    """A line through points in pixels."""
    if not points:
        return trusted("")
    drawn = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return tag("path", d=drawn, class_=class_, stroke_dasharray=dash or None)


def band(upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]]) -> Markup:
    """The area between two lines."""
    edge = [*upper, *reversed(lower)]
    if len(edge) < 3:
        return trusted("")
    return tag("path", d="M" + "L".join(f"{number(x)} {number(y)}" for x, y in edge) + "Z", class_="band")


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
