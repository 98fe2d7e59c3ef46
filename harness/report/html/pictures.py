"""The picture of a claim: medians with their intervals, curves, a coloured grid, or distributions."""

from __future__ import annotations

from collections.abc import Sequence

from harness import columns
from harness.analysis.curves import Study, curves, shapes
from harness.analysis.curves.factors import quantity
from harness.analysis.curves.spots import CASE, Spot, Spots, spots
from harness.report import words
from harness.report.html import distribution
from harness.report.html.frame import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axes,
    figure,
    path,
    scroller,
    svg,
    table,
)
from harness.report.html.heattable import step
from harness.report.html.labels import Labels
from harness.report.html.markup import Child, Markup, tag
from harness.report.html.scale import Scale, linear_scale, log_scale, tick_text
from harness.report.html.style import Look
from harness.spec.claims import Picture
from harness.tables.cells import group_cells
from harness.tables.source import Source

_PANELS = 2
_ROW, _NAMES = 30, 190


def picture(look: Look, study: Study, wanted: Picture, include: Sequence[str] = ()) -> Markup | None:
    """What a claim asks to be drawn; None where the set has nothing to draw."""
    if wanted.kind == "distribution":
        found = _distributions(look, study, wanted, include)
        if found is not None:
            return found
    data = spots(study.source, wanted, include)
    if not any(spot.estimate.median is not None for spot in data.spots):
        return None
    if wanted.kind == "grid" and data.x and data.y:
        return _grid(data, beside(study.source, wanted, include))
    if wanted.kind == "curve" and data.x and data.x != CASE:
        drawn = _curve(look, data)
        if drawn is not None:
            return drawn
    return _medians(look, data)


def beside(source: Source, wanted: Picture, include: Sequence[str] = ()) -> Spots | None:
    """The second metric of a grid."""
    if wanted.beside is None:
        return None
    return spots(source, wanted.model_copy(update={"metric": wanted.beside}), include)


def _distributions(look: Look, study: Study, wanted: Picture, include: Sequence[str]) -> Markup | None:
    """Both charts of the distribution for the first combinations of factors; None without samples."""
    cells = [
        cell
        for cell in group_cells(study.source.runs, include=include)
        if (wanted.cases is None or cell.case in wanted.cases)
        and all(dict(cell.factors).get(name) == value for name, value in wanted.at.items())
    ]
    ids = [str(name) for name in study.source.runs["run_id"]] if "run_id" in study.source.runs else []
    if study.results is None or not ids:
        return None
    found = {
        shape.run_id: shape for shape in shapes(study, [ids[row] for cell in cells for row in cell.valid])
    }
    drawn = curves(study.source, cells, found)
    groups = list(dict.fromkeys(curve.factors for curve in drawn))[:_PANELS]
    panels = [
        distribution.panel(look, at, [curve for curve in drawn if curve.factors == at]) for at in groups
    ]
    return tag("div", *panels) if panels else None


def _grid(data: Spots, price: Spots | None) -> Markup:
    """A coloured table of y by x; fields on the diagonal are marked. price: a second value below each."""
    column = columns.metric(data.picture.metric)
    xs, ys, marked = data.values(data.x), data.values(data.y), data.diagonal()
    numbers = [spot.estimate.median for spot in data.spots if spot.estimate.median is not None]
    # Shares are coloured as they are: their logarithm would make all of the upper half alike.
    linear = column.unit == "%"
    low, high = (0.0, 100.0) if linear else (min(numbers), max(numbers))
    head = [tag("th", data.y, scope="col"), *(tag("th", x, scope="col", class_="num") for x in xs)]
    body = []
    for y in ys:
        fields: list[Child] = [tag("th", y, scope="row")]
        for x in xs:
            spot = data.at(x, y)
            value = spot.estimate.median if spot else None
            if value is None:
                fields.append(tag("td", words.BLANK, class_="num none"))
                continue
            shade = min(int(value / high * 9), 8) if linear else step(value, low, high)
            edge = " diagonal" if (x, y) in marked else ""
            said = words.percent(value) if linear else words.short(value)
            second = price.at(x, y) if price else None
            small = tag("small", tag("br"), words.short(second.estimate.median)) if second else None
            fields.append(tag("td", said, small, class_=f"num h{shade}{edge}"))
        body.append(tag("tr", *fields))
    over = tag("tr", tag("td"), tag("th", data.x, scope="colgroup", colspan=len(xs), class_="over"))
    said = f"Median {_named(column)}"
    if price is not None:
        said += f"; below it {_named(columns.metric(price.picture.metric))}"
    note = "Framed: where busy-poll time and time between requests are the same." if marked else ""
    grid = tag(
        "table",
        tag("caption", said),
        tag("thead", over, tag("tr", *head)),
        tag("tbody", *body),
        class_="heatmap",
    )
    return tag("figure", scroller(grid, said), tag("p", note, class_="note") if note else None)


def _named(column: columns.Column) -> str:
    """A column's label with its unit."""
    return f"{column.label}, {column.unit}".rstrip(", ").replace("us", "µs")


def _curve(look: Look, data: Spots) -> Markup | None:
    """A line per case and combination of the other factors, against a swept number; None where it is no number."""
    lines: dict[tuple[str, str], list[tuple[float, Spot]]] = {}
    for spot in data.spots:
        number = quantity(spot.along(data.x))
        if number is None:
            return None
        if spot.estimate.median is not None:
            others = words.factors(tuple(pair for pair in spot.factors if pair[0] != data.x))
            lines.setdefault((spot.case, others), []).append((number[0], spot))
    numbers = sorted({at for line in lines.values() for at, _ in line})
    medians = [spot.estimate.median or 0.0 for line in lines.values() for _, spot in line]
    axes = _curve_axes(data, numbers, medians)
    places = {
        key: [(axes.x.at(at), axes.y.at(spot.estimate.median or 0.0)) for at, spot in line]
        for key, line in lines.items()
    }
    room = Labels(list(places.values()), HEIGHT - BOTTOM)
    groups = []
    for place, (key, line) in enumerate(lines.items()):
        name = (
            key[1].rpartition(".")[2] or key[0]
            if len({case for case, _ in lines}) == 1
            else " ".join(filter(None, key))
        )
        dash = look.dash(key[0]) or ("", "6 3", "2 3", "8 3 2 3")[place % 4]
        marks = [_whisker(axes, at, spot) for at, spot in line]
        label = room.place(name, places[key][::-1], "direct")
        groups.append(look.group(key[0], path(places[key], "line", dash), *marks, label))
    said = f"{columns.metric(data.picture.metric).label} against {data.x}"
    chart = svg(axes, *groups, label=said)
    return tag("div", figure(said, chart, table=_numbers(data)), class_="single")


def _curve_axes(data: Spots, numbers: Sequence[float], medians: Sequence[float]) -> Axes:
    wide = len(numbers) > 2 and min(numbers) > 0 and max(numbers) / min(numbers) > 20
    maker = log_scale if wide else linear_scale
    x = maker(numbers, LEFT + 8, WIDTH - RIGHT - 8)
    column = columns.metric(data.picture.metric)
    share = column.unit == "%"
    y = (
        Scale(0.0, 100.0, HEIGHT - BOTTOM, TOP, False)
        if share
        else log_scale(medians, HEIGHT - BOTTOM, TOP, around=1.3)
    )
    ticks = list(numbers) if len(numbers) <= 6 and wide else None
    return Axes(x, y, data.x, _named(column), "{:g}".format, tick_text, x_ticks=ticks)


def _whisker(axes: Axes, at: float, spot: Spot) -> Markup:
    x, y = axes.x.at(at), axes.y.at(spot.estimate.median or 0.0)
    parts: list[Child] = [tag("circle", cx=x, cy=y, r=3.2, class_="mark")]
    if spot.estimate.interval:
        ends = (axes.y.at(spot.estimate.interval.low), axes.y.at(spot.estimate.interval.high))
        parts.append(tag("line", x1=x, x2=x, y1=ends[0], y2=ends[1], class_="whisker"))
    return tag("g", *parts)


def _medians(look: Look, data: Spots) -> Markup:
    """A dot with its interval for every cell, one below the other."""
    shown = [spot for spot in data.spots if spot.estimate.median is not None][:24]
    ends = [
        end
        for spot in shown
        for end in (
            spot.estimate.median or 0.0,
            *((spot.estimate.interval.low, spot.estimate.interval.high) if spot.estimate.interval else ()),
        )
    ]
    x = linear_scale([0.0, *(end * 1.05 for end in ends)], _NAMES, WIDTH - 60)
    parts: list[Child] = []
    for at, spot in enumerate(shown):
        y = 14.0 + at * _ROW
        name = words.cell(spot.case, spot.factors)
        median = spot.estimate.median or 0.0
        drawn: list[Child] = [tag("line", x1=x.start, x2=x.at(median), y1=y, y2=y, class_="line faint")]
        if spot.estimate.interval:
            low, high = x.at(spot.estimate.interval.low), x.at(spot.estimate.interval.high)
            drawn.append(tag("line", x1=low, x2=high, y1=y, y2=y, class_="line"))
        drawn.append(look.marker(spot.case, x.at(median), y))
        beyond = max(x.at(median), x.at(spot.estimate.interval.high) if spot.estimate.interval else 0.0)
        drawn.append(tag("text", words.short(median), x=beyond + 9, y=y + 4, class_="tick"))
        parts.append(
            tag(
                "text",
                name if len(name) < 30 else name[:28] + "…",
                x=_NAMES - 8.0,
                y=y + 4,
                class_="tick end",
            )
        )
        parts.append(look.group(spot.case, *drawn))
    column = columns.metric(data.picture.metric)
    label = f"{column.label}{f', {column.unit}' if column.unit else ''}: median and interval of every case".replace(
        "us:", "µs:"
    )
    chart = tag(
        "svg",
        tag("title", label),
        *parts,
        viewBox=f"0 0 {WIDTH} {len(shown) * _ROW}",
        role="img",
        aria_label=label,
        class_="chart",
    )
    return tag("div", figure(label, chart, table=_numbers(data)), class_="single")


def _numbers(data: Spots) -> Markup:
    column = columns.metric(data.picture.metric)
    rows: list[list[Child]] = [
        [
            words.cell(spot.case, spot.factors),
            words.short(spot.estimate.median),
            words.bracket(spot.estimate.interval, gap=" – "),
            str(spot.estimate.n),
        ]
        for spot in data.spots
    ]
    return table(["cell", f"{column.label} {column.unit}".strip(), "interval", "runs"], rows)
