"""The chart that a reader chooses, zooms and takes away: its place on the page, and all its charts as data."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from harness.analysis.curves import curves, trades
from harness.report import words
from harness.report.charts import Band, Dot, Points, Polyline, Series
from harness.report.charts.choices import CELLS, Choice, choices
from harness.report.charts.kinds import time_scales
from harness.report.charts.scale import Scale
from harness.report.html.charts import Drawn
from harness.report.html.markup import Markup, section, tag, trusted
from harness.report.html.series import of_runs
from harness.report.html.style import Look, legend
from harness.report.words import Json

_LEAD = (
    "Any figure, case and load. Drag over the chart or press + and - to zoom; point at it or press the arrow keys to "
    "read values with their intervals."
)
_ZOOM = (("in", "Zoom in"), ("out", "Zoom out"), ("whole", "Whole chart"))
_SAVE = (("csv", "CSV"), ("png", "PNG"), ("svg", "SVG"))


def live_section(look: Look, sets: Sequence[Drawn]) -> tuple[Markup | None, Markup | None]:
    """The section with its controls, and the element with its data; None for sets without a chart."""
    data = _data(look, sets)
    if not data["charts"]:
        return None, None
    views = [drawn.view for drawn in sets]
    cases = dict.fromkeys(cell.case for view in views for cell in view.cells)
    scales = [tag("label", tag("input", type="checkbox", id=f"log-{axis}"), f" {axis} logarithmic") for axis in "xy"]
    zoom = [tag("button", text, type="button", data_zoom=way) for way, text in _ZOOM]
    save = [tag("button", text, type="button", data_save=form) for form, text in _SAVE]
    many = max(len(view.cells) for view in views)
    cut = tag("p", f"The first {CELLS} of {many:,} cells can be chosen.", class_="note") if many > CELLS else None
    body = tag(
        "div",
        tag("div", "", class_="controls", id="answers", role="group", aria_label="Which chart"),
        legend(look, cases, next((view.baseline for view in views if view.baseline), "")) if len(sets) > 1 else None,
        tag("p", "", class_="plain", id="live-title"),
        tag("div", "", id="live-chart", tabindex="0", role="group", aria_roledescription="chart"),
        tag("div", *scales, *zoom, tag("span", "Save", class_="quiet"), *save, class_="controls"),
        tag("details", tag("summary", "Numbers of this chart"), tag("div", "", id="live-numbers"), class_="numbers"),
        cut,
        id="live",
        class_="needs-script",
    )
    without = tag("p", "The charts below need no script; this one does.", class_="note without-script")
    return section("explore", "Explore", without, body, lead=_LEAD, short="Explore"), _script(data)


def _data(look: Look, sets: Sequence[Drawn]) -> dict[str, Json]:
    columns, scales = _Kept(), _Kept()
    charts: list[Json] = []
    for drawn in sets:
        lead = {"Set": drawn.view.label} if len(sets) > 1 else {}
        charts += [_chart(look, choice, lead, columns, scales) for choice in _choices(drawn)]
    series, x, y = [drawn.series for drawn in sets], {}, {}
    if any(series):
        x, y = map(_scale, time_scales([one for of_set in series for one in of_set.values()]))
        for drawn in sets:
            lead = {"Set": drawn.view.label} if len(sets) > 1 else {}
            for run_id, case, text, packed in of_runs(drawn):
                answers = {**lead, "Chart": "Time series", "Run": words.clean(text)}
                slot = look.marks[case].slot
                charts.append({"answers": answers, "run": f"{drawn.key}{run_id}", "case": slot, "series": packed})
    cases = [
        [mark.slot, words.clean(case), mark.light, mark.dark, mark.shape, mark.dash]
        for case, mark in look.marks.items()
    ]
    return {"columns": columns.all, "scales": scales.all, "time": [x, y], "cases": cases, "charts": charts}


def _choices(drawn: Drawn) -> Iterator[Choice]:
    groups = curves(drawn.study.source, drawn.cells, drawn.shapes)
    return choices(drawn.view, groups, trades(drawn.view.cells))


class _Kept:
    """Values that many charts share, each kept once and known by its place."""

    def __init__(self) -> None:
        self.all: list[Json] = []
        self._places: dict[str, int] = {}

    def place(self, value: Json) -> int:
        """Where the value stands in `all`."""
        text = json.dumps(value)
        if text not in self._places:
            self._places[text] = len(self.all)
            self.all.append(value)
        return self._places[text]


def _chart(look: Look, choice: Choice, lead: Mapping[str, str], columns: _Kept, scales: _Kept) -> Json:
    chart = choice.chart
    answers = {words.clean(name): words.clean(value) for name, value in {**lead, **choice.answers}.items()}
    series = [_series(look, one, columns) for one in chart.series]
    places = [scales.place(_scale(chart.x)), scales.place(_scale(chart.y))]
    return {"answers": answers, "scales": places, "reads": chart.reads, "marks": series}


def _scale(scale: Scale) -> dict[str, Json]:
    low, high = scale.limits()
    return {
        "name": words.clean(scale.name),
        "kind": scale.kind,
        "log": scale.log,
        "low": float(f"{low:.6g}"),
        "high": float(f"{high:.6g}"),
        "names": [words.clean(name) for name in scale.names],
        "ticks": None if scale.fixed is None else [float(f"{tick:.6g}") for tick in scale.fixed],
    }


def _series(look: Look, series: Series, columns: _Kept) -> dict[str, Json]:
    """The marks of a case, every list of numbers as the place of a column."""

    def pair(points: Points) -> list[Json]:
        return [columns.place(_packed([point[axis] for point in points])) for axis in (0, 1)]

    lines = [mark for mark in series.marks if isinstance(mark, Polyline) and mark.points]
    bands = [mark for mark in series.marks if isinstance(mark, Band) and len(mark.upper) > 1]
    dots = [mark for mark in series.marks if isinstance(mark, Dot)]
    made: dict[str, Json] = {"case": look.marks[series.case].slot if series.case else None}
    if lines:
        made["lines"] = [[*pair(line.points), line.style] for line in lines]
    if bands:
        made["bands"] = [[*pair(band.upper), *pair(band.lower)] for band in bands]
    if dots:
        ends = [[end for side in (dot.across, dot.up) for end in _ends(side)] for dot in dots]
        values = [[*dot.at, *four, float(dot.runs)] for dot, four in zip(dots, ends, strict=True)]
        made["dots"] = [columns.place(_packed(list(column))) for column in zip(*values, strict=True)]
    return made


def _ends(interval: object) -> tuple[float, float]:
    """The ends of an interval; not a number where there is none."""
    return getattr(interval, "low", float("nan")), getattr(interval, "high", float("nan"))


def _packed(values: Sequence[float]) -> str:
    """Numbers of seven digits in as few letters as JSON can have them: 32-bit floats, least byte first, as base64."""
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode()


def _script(data: Mapping[str, Json]) -> Markup:
    """JSON for the page's script; nothing in it can end the element it stands in."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return tag("script", trusted(safe), type="application/json", id="charts")
