"""Draws a chart as inline SVG: the page's style colours it, its script reads values off it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.charts import Band, Bar, Chart, ChartMark, Dot, Losses, Needles, Peak, Points, Polyline, Series
from harness.report.charts.labels import Labels
from harness.report.charts.scale import Scale
from harness.report.html.markup import Child, Markup, join, number, tag
from harness.report.html.style import Look

WIDTH, _HEIGHT = 440, 300
STRIP = 200
"""The height of a time series, which is lower than other charts."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 28, 46
_LETTER, _LINE, _MOST_LETTERS = 6.7, 13.0, 22
_STRAIGHT = 0.35


@dataclass(frozen=True)
class Paper:
    """Where values of two scales lie on the picture, in pixels."""

    x: Scale
    y: Scale
    height: int

    @property
    def floor(self) -> int:
        """The y pixel at which the x axis lies."""
        return self.height - _BOTTOM

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The pixel (x, y) of a pair of values."""
        across, up = self.x.share(x), self.y.share(y)
        return _LEFT + across * (WIDTH - _RIGHT - _LEFT), self.floor + up * (_TOP - self.floor)

    def places(self, points: Points) -> list[tuple[float, float]]:
        """The pixels of several pairs of values."""
        return [self.at(*point) for point in points]

    def ends(self) -> list[tuple[str, Scale, float, float]]:
        """Both scales by name, with the pixels of their least and greatest value."""
        low, high = self.at(self.x.low, self.y.low), self.at(self.x.high, self.y.high)
        return [("x", self.x, low[0], high[0]), ("y", self.y, low[1], high[1])]


def drawn(look: Look, chart: Chart) -> Markup:
    """The chart with its axes, its marks and, where they fit, the names of the cases."""
    paper = Paper(chart.x, chart.y, STRIP if chart.strip else _HEIGHT)
    groups = []
    for series in chart.series:
        marks = [_mark(look, paper, series.case, mark) for mark in series.marks]
        groups.append(look.group(series.case, *marks) if series.case else join(marks))
    data = {"kind": "points" if chart.reads == "points" else "curve"} if chart.reads else {}
    if data.get("kind") == "curve":
        data["read"] = chart.reads
        for name, scale, start, stop in paper.ends():
            kind = "log" if scale.log else "lin"
            data[name] = f"{kind} {scale.low:.6g} {scale.high:.6g} {start:g} {stop:g}"
    return framed(paper, *groups, *_names(look, paper, chart.series), label=chart.label, data=data)


def framed(paper: Paper, *content: Child, label: str, data: dict[str, str]) -> Markup:
    """An inline SVG with its axes. `label` says in words what it shows; `data` becomes data-* attributes."""
    return tag(
        "svg", tag("title", label), _grid(paper), *content,
        viewBox=f"0 0 {WIDTH} {paper.height}", role="img", aria_label=label, tabindex="0" if data else None,
        class_="chart", **{f"data_{name}": value for name, value in data.items()},
    )  # fmt: skip


def _grid(paper: Paper) -> Markup:
    parts: list[Child] = []
    right, floor = WIDTH - _RIGHT, paper.floor
    for value in paper.y.ticks(6):
        _, y = paper.at(paper.x.low, value)
        parts.append(tag("line", x1=_LEFT, x2=right, y1=y, y2=y, class_="grid"))
        parts.append(tag("text", paper.y.text(value), x=_LEFT - 7, y=y + 4, class_="tick end"))
    for value in paper.x.ticks(5):
        x, _ = paper.at(value, paper.y.low)
        parts.append(tag("line", x1=x, x2=x, y1=_TOP, y2=floor, class_="grid"))
        parts.append(tag("text", paper.x.text(value), x=x, y=floor + 17, class_="tick mid"))
    parts.append(tag("line", x1=_LEFT, x2=right, y1=floor, y2=floor, class_="axis"))
    parts.append(tag("text", paper.x.name, x=(_LEFT + right) / 2, y=paper.height - 8, class_="name mid"))
    # Above the axis and not along it: nobody has to turn their head, and it never runs into the ticks.
    parts.append(tag("text", paper.y.name, x=2, y=_TOP - 15, class_="name"))
    return tag("g", *parts, aria_hidden="true")


def _mark(look: Look, paper: Paper, case: str, mark: ChartMark) -> Markup:
    match mark:
        case Polyline(points, style, dash):
            places = _thinned(paper.places(points))
            own = {"faint": "1 4", "": dash or (look.marks[case].dash if case else "")}.get(style, "")
            return _path(places, "frontier" if style == "frontier" else f"line {style}".strip(), own)
        case Band(upper, lower):
            edge = paper.places([*upper, *reversed(lower)])
            return _path(edge, "band", closed=True) if len(edge) > 2 else join(())
        case Dot(at, _, _, tip, size):
            whiskers = (_path(line, "whisker") for line in _whiskers(paper, mark))
            marker = look.marker(case, *paper.at(*at), size)
            return tag("g", *whiskers, marker, class_="pt" if tip else None, data_tip=tip or None)
        case Needles(strokes):
            ends = [(*paper.at(x, low), paper.at(x, high)[1]) for x, low, high in strokes]
            path = "".join(f"M{number(x)} {number(low)}V{number(high)}" for x, low, high in ends)
            return tag("path", d=path or "M0 0", class_="needles")
        case Losses(places):
            across = [paper.at(x, paper.y.low)[0] for x in places]
            return join(tag("text", "×", x=x, y=_TOP + 10, class_="lost mid") for x in across)
        case Peak(at, text):
            x, y = paper.at(*at)
            side = "end" if x > WIDTH * 0.75 else "" if x < WIDTH * 0.3 else "mid"
            words = tag("text", text, x=x, y=y - 7, class_=f"direct {side}".strip())
            return tag("g", tag("circle", cx=x, cy=y, r=3.2, class_="worst"), words)
        case Bar():
            (begin, y), (end, above) = paper.at(mark.begin, mark.lane), paper.at(mark.end, mark.lane + 1)
            high = 0.72 * abs(y - above)
            return bar(mark, begin, y - high / 2, end - begin, high)


def bar(mark: Bar, x: float, y: float, width: float, height: float) -> Markup:
    """A stretch of a lane with its name where it fits, and what it says when pointed at."""
    wide = max(width, 0.6)
    box = tag("rect", tag("title", mark.tip), x=x, y=y, width=wide, height=height, fill=mark.fill)
    if not mark.text or len(mark.text) * _LETTER > wide - 6:
        return box
    text = tag("text", mark.text, x=x + 4, y=y + height / 2 + 4, fill="#ffffff", pointer_events="none")
    return tag("g", box, text)


def _path(places: Points, class_: str, dash: str = "", *, closed: bool = False) -> Markup:
    if not places:
        return join(())
    path = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in places) + ("Z" if closed else "")
    return tag("path", d=path, class_=class_, stroke_dasharray=dash or None)


def _whiskers(paper: Paper, dot: Dot) -> list[list[tuple[float, float]]]:
    """The intervals of a dot as lines."""
    x, y = dot.at
    across = [[(dot.across.low, y), (dot.across.high, y)]] if dot.across else []
    up = [[(x, dot.up.low), (x, dot.up.high)]] if dot.up else []
    return [paper.places(line) for line in (*across, *up)]


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same line without the points that lie on it anyway, to a third of a pixel."""
    if len(points) < 3:
        return points
    kept = [points[0]]
    begin = 0
    for end in range(2, len(points)):
        (x1, y1), (x2, y2) = points[begin], points[end]
        long = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 1e-9)
        between = points[begin + 1 : end]
        if any(abs((x2 - x1) * (y1 - y) - (x1 - x) * (y2 - y1)) / long > _STRAIGHT for x, y in between):
            begin = end - 1
            kept.append(points[begin])
    return [*kept, points[-1]]


def _names(look: Look, paper: Paper, every: Sequence[Series]) -> list[Markup]:
    """The cases' names beside their marks, each at the first of its anchors where it covers nothing."""
    named = [series for series in every if series.anchors]
    if not named:
        return []
    marks = [mark for series in every for mark in series.marks]
    lines = [paper.places(mark.points) for mark in marks if isinstance(mark, Polyline)]
    pointed = [series for series in named if not any(isinstance(mark, Polyline) for mark in series.marks)]
    lone = [mark for series in pointed for mark in series.marks if isinstance(mark, Dot)]
    boxes = [(x - 6, y - 6, x + 6, y + 6) for x, y in paper.places([dot.at for dot in lone])]
    area = (_LEFT + 2, _TOP - 9, WIDTH - _RIGHT + 8, paper.floor)
    room = Labels([*lines, *(line for dot in lone for line in _whiskers(paper, dot))], boxes, area, 5.0)
    return [label for series in named if (label := _name(look, paper, series, room, bool(lone))) is not None]


def _name(look: Look, paper: Paper, series: Series, room: Labels, lone: bool) -> Markup | None:
    """The name of a series; of a lone marker always somewhere, if need be with a stroke to it."""
    name = series.name or series.case
    text = name if len(name) <= _MOST_LETTERS else name[: _MOST_LETTERS - 1] + "…"
    width = _LETTER * len(text)
    label = room.place(width, _LINE, paper.places(series.anchors), 9.0 if lone else 7.0, far=lone)
    if label is None:
        return None
    stroke = None
    if label.stroke_from is not None:
        x, y = label.stroke_from
        stroke = _path([(x, y), (min(max(x, label.left), label.left + width), label.middle)], "leader")
    # How wide its letters are is the browser's affair, so it is held where it is next to its mark.
    x, side = (label.left + width, "direct end") if label.before else (label.left, "direct")
    words = tag("text", text, x=x, y=label.middle + 4, class_=side)
    return look.group(series.case, stroke, words)
