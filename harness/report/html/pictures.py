"""The picture of a claim: medians with their intervals, curves, a coloured grid, or distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness import columns
from harness.analysis.curves import Study, curves_of
from harness.analysis.curves.factors import quantity
from harness.analysis.curves.spots import CASE, Spot, Spots, spots
from harness.report import words
from harness.report.charts import Chart, Dot, Polyline, Series
from harness.report.charts.kinds import number_scale, reach
from harness.report.charts.scale import Scale, linear_scale, log_scale, tick_text
from harness.report.html.charts import distribution_panel, fields_of
from harness.report.html.heat import STEPS, coloured, step
from harness.report.html.markup import Child, Markup, figure, table, tag, td, th
from harness.report.html.style import Look
from harness.report.html.svg import WIDTH, drawn
from harness.spec.claims import Picture
from harness.tables.cells import group_cells
from harness.tables.source import Source

_PANELS = 2
_ROW, _NAMES, _LETTERS = 30, 190, 30


def picture(look: Look, study: Study, asked: Picture, include: Sequence[str] = ()) -> Markup | None:
    """What a claim asks to be drawn; None where the set has nothing to draw."""
    if asked.kind == "distribution":
        distributions = _distributions(look, study, asked, include)
        if distributions is not None:
            return distributions
    data = spots(study.source, asked, include)
    if not any(spot.estimate.median is not None for spot in data.spots):
        return None
    if asked.kind == "grid" and data.x and data.y:
        return _grid(data, beside(study.source, asked, include))
    if asked.kind == "curve" and data.x and data.x != CASE:
        curve = _curve(look, data)
        if curve is not None:
            return curve
    return _medians(look, data)


def beside(source: Source, asked: Picture, include: Sequence[str] = ()) -> Spots | None:
    """The same grid with its second metric, shown beside it; None where the picture asks for none."""
    if asked.beside is None:
        return None
    return spots(source, asked.model_copy(update={"metric": asked.beside}), include)


def _distributions(look: Look, study: Study, asked: Picture, include: Sequence[str]) -> Markup | None:
    """Both charts of the distribution for the first combinations of factors; None without samples."""
    cells = group_cells(study.source.runs, include=include)
    groups = curves_of(study, [cell for cell in cells if asked.shows(cell.case, cell.factors)])
    panels = [distribution_panel(look, at, mine) for at, mine in list(groups.items())[:_PANELS]]
    return tag("div", *panels) if panels else None


def _grid(data: Spots, price: Spots | None) -> Markup:
    """A coloured table of y by x; fields on the diagonal are marked. price: a second value below each."""
    column = columns.metric(data.picture.metric)
    xs, marked = data.values(data.x), data.diagonal()
    estimates = [spot.estimate for spot in data.spots]
    # Shares are coloured as they are: their logarithm would make all of the upper half alike.
    linear = column.unit == "%"
    body = []
    for y in data.values(data.y):
        fields: list[Child] = [tag("th", y, scope="row")]
        for x in xs:
            spot = data.at(x, y)
            value = spot.estimate.median if spot else None
            if value is None:
                fields.append(td(words.BLANK, "num none"))
                continue
            shade = min(int(value / 100 * STEPS), STEPS - 1) if linear else step(value, estimates)
            edge = " diagonal" if (x, y) in marked else ""
            second = price.at(x, y) if price else None
            small = tag("small", tag("br"), words.short(second.estimate.median)) if second else None
            text = words.percent(value) if linear else words.short(value)
            fields.append(tag("td", text, small, class_=f"num h{shade}{edge}"))
        body.append(tag("tr", *fields))
    below = f"; below it {words.named(columns.metric(price.picture.metric))}" if price is not None else ""
    note = "Framed: where busy-poll time and time between requests are the same." if marked else ""
    grid = coloured(f"Median {words.named(column)}{below}", [th(data.y)], data.x, xs, body)
    return tag("figure", grid, tag("p", note, class_="note") if note else None)


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
    column = columns.metric(data.picture.metric)
    medians = [spot.estimate.median or 0.0 for line in lines.values() for _, spot in line]
    share = Scale(0.0, 100.0, False)
    y = share if column.unit == "%" else log_scale(medians, text=tick_text, around=1.3)
    x = number_scale((at for line in lines.values() for at, _ in line), data.x)
    one_case = len({case for case, _ in lines}) == 1
    series = []
    for place, ((case, others), line) in enumerate(lines.items()):
        points = [(at, spot.estimate.median or 0.0) for at, spot in line]
        dots = [Dot(point, up=spot.estimate.interval) for point, (_, spot) in zip(points, line, strict=True)]
        name = others.rpartition(".")[2] or case if one_case else " ".join(filter(None, (case, others)))
        dash = look.marks[case].dash or ("", "6 3", "2 3", "8 3 2 3")[place % 4]
        series.append(Series(case, [Polyline(points, dash=dash), *dots], points[::-1], name))
    label = f"{column.label} against {data.x}"
    chart = drawn(look, Chart(x, replace(y, name=words.named(column)), series, label))
    return tag("div", figure(label, chart, table=_numbers(data)), class_="single")


def _medians(look: Look, data: Spots) -> Markup:
    """A dot with its interval for every cell, one below the other."""
    shown = [spot for spot in data.spots if spot.estimate.median is not None][:24]
    scale = linear_scale([0.0, *(end * 1.05 for spot in shown for end in reach(spot.estimate))])

    def across(value: float) -> float:
        return _NAMES + scale.share(value) * (WIDTH - 60 - _NAMES)

    parts: list[Child] = []
    for at, spot in enumerate(shown):
        y = 14.0 + at * _ROW
        name = words.cell(spot.case, spot.factors)
        name = name if len(name) < _LETTERS else name[: _LETTERS - 2] + "…"
        median, interval = spot.estimate.median or 0.0, spot.estimate.interval
        marks: list[Child] = [tag("line", x1=across(0.0), x2=across(median), y1=y, y2=y, class_="line faint")]
        if interval:
            low, high = across(interval.low), across(interval.high)
            marks.append(tag("line", x1=low, x2=high, y1=y, y2=y, class_="line"))
        marks.append(look.marker(spot.case, across(median), y))
        beyond = max(across(median), across(interval.high) if interval else 0.0)
        marks.append(tag("text", words.short(median), x=beyond + 9, y=y + 4, class_="tick"))
        parts += [tag("text", name, x=_NAMES - 8.0, y=y + 4, class_="tick end"), look.group(spot.case, *marks)]
    label = f"{words.named(columns.metric(data.picture.metric))}: median and interval of every case"
    chart = tag(
        "svg", tag("title", label), *parts, viewBox=f"0 0 {WIDTH} {len(shown) * _ROW}", role="img",
        aria_label=label, class_="chart",
    )  # fmt: skip
    return tag("div", figure(label, chart, table=_numbers(data)), class_="single")


def _numbers(data: Spots) -> Markup:
    column = columns.metric(data.picture.metric)
    rows: list[list[Child]] = [
        [words.cell(spot.case, spot.factors), *fields_of(spot.estimate), str(spot.estimate.n)] for spot in data.spots
    ]
    return table(["cell", f"{column.label} {column.unit}".strip(), "interval", "runs"], rows)
