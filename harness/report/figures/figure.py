"""One figure of one kind: chooses the panels, draws them, puts the legend above."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from harness.analysis.compare import Factors
from harness.analysis.curves.distribution import curves
from harness.analysis.curves.gather import Study, shapes
from harness.analysis.curves.heat import heat_map
from harness.analysis.curves.load import load_curves
from harness.analysis.curves.palette import Mark, marks
from harness.analysis.curves.pareto import trades
from harness.analysis.curves.timeline import typical_runs
from harness.analysis.summary import Overview
from harness.errors import InputError
from harness.report.figures import panels
from harness.report.figures.style import SETTINGS, marker, printable, strokes
from harness.tables.cells import group_cells

MOST = 8
"""Panels of one figure; a set with more is to be narrowed down by whoever knows what the paper is about."""

_FORMATS = ("svg", "pdf", "png")
_ROW = 2.35


@dataclass(frozen=True)
class FigureRequest:
    """What to draw: a study (narrowed already) with its overview; metric and runs where the kind takes them.

    width: of the figure in inches.
    """

    study: Study
    view: Overview
    metric: str | None = None
    runs: Sequence[str] = ()
    width: float = 7.0

    @property
    def marks(self) -> Mapping[str, Mark]:
        """How each case is drawn."""
        return marks(dict.fromkeys(cell.case for cell in self.view.cells), self.view.baseline)


def draw(kind: str, request: FigureRequest, form: str) -> bytes:
    """The figure as a file of that form (svg, pdf, png); the same input gives the same bytes.

    Raises InputError when the set has nothing of this kind, or more than a figure holds.
    """
    if form not in _FORMATS:
        raise InputError(
            "plot", on=f".{form}", got="no such kind of file", todo=f"name one of: {', '.join(_FORMATS)}"
        )
    with matplotlib.rc_context(cast("Any", SETTINGS)):
        figure = KINDS[kind](request)
        if request.view.model_time:
            under = ", ".join(request.view.facts["accelerator"])
            figure.supxlabel(f"model time ({under})", fontsize="small", color="0.35")
        for text in figure.findobj(Text):
            # An escape character from a file would make the SVG no XML at all.
            text.set_text(printable(text.get_text()))
        sink = io.BytesIO()
        # The date is left out: a figure under version control changes when its data does.
        figure.savefig(
            sink, format=form, metadata={"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
        )
    return sink.getvalue()


def _paper(
    request: FigureRequest, rows: int, across: int, row: float = _ROW, **share: Any
) -> tuple[Figure, Any]:
    figure = Figure(figsize=(request.width, row * rows + 0.3))
    return figure, figure.subplots(rows, across, squeeze=False, **share)


def _legend(figure: Figure, request: FigureRequest, cases: Sequence[str], *, lines: bool = True) -> None:
    found = request.marks
    handles = []
    for case in cases:
        style = strokes(found[case]) if lines else {"color": found[case].light, "linestyle": ""}
        handles.append(Line2D([], [], marker=marker(found[case]), label=case, **style))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(cases), 5))


def _few(items: Sequence[Any], what: str) -> None:
    if not items:
        raise InputError("plot", on=what, got="this set has nothing to draw of it")
    if len(items) > MOST:
        raise InputError(
            "plot", on=what, got=f"{len(items)} panels", todo=f"narrow to {MOST} with --at FACTOR=VALUE"
        )


def _title(factors: Factors) -> str:
    return ", ".join(f"{name} = {value}" for name, value in factors)


def _ecdf(request: FigureRequest) -> Figure:
    source = request.study.source
    cells = group_cells(source.runs)
    sampled = request.study.results is not None
    ids = [str(source.runs["run_id"].iloc[row]) for cell in cells for row in cell.valid] if sampled else []
    found = curves(source, cells, {shape.run_id: shape for shape in shapes(request.study, ids)})
    groups = list(dict.fromkeys(curve.factors for curve in found))
    _few(groups, "distributions (they need raw samples of valid runs)")
    figure, axes = _paper(request, len(groups), 2)
    for (body, tail), factors in zip(axes, groups, strict=True):
        mine = [curve for curve in found if curve.factors == factors]
        panels.body(body, mine, request.marks)
        panels.tail(tail, mine, request.marks)
        body.set_title(_title(factors))
    _legend(figure, request, list(dict.fromkeys(curve.case for curve in found)))
    return figure


def _load(request: FigureRequest) -> Figure:
    found = load_curves(request.view.cells, least=2)
    groups = list(found.panels) if found else []
    _few(groups, "load curves (they need a factor that is a number)")
    assert found is not None
    metrics = [request.metric] if request.metric else ["rtt_p50_us", "rtt_p99_us"]
    figure, axes = _paper(request, len(groups), len(metrics), sharey="all" if len(metrics) > 1 else "none")
    for row, group in zip(axes, groups, strict=True):
        for each, metric in zip(row, metrics, strict=True):
            panels.load(each, found, group, metric, request.marks)
        row[0].set_title(_title(group))
    _legend(figure, request, list(dict.fromkeys(case for lines in found.panels.values() for case in lines)))
    return figure


def _heatmap(request: FigureRequest) -> Figure:
    found = heat_map(request.view.cells)
    metric = request.metric or "rtt_p99_us"
    numbers = found is not None and any(
        found.estimate(row, at, metric) for row in found.rows for at in range(len(found.values))
    )
    _few([found] if numbers else [], f"a heat map of {metric} (it needs a swept factor)")
    assert found is not None
    figure = Figure(figsize=(request.width, 0.9 + 0.3 * len(found.rows)))
    panels.heat(figure, figure.subplots(), found, metric)
    return figure


def _pareto(request: FigureRequest) -> Figure:
    found = trades(request.view.cells)
    groups = list(found)
    _few(groups, "CPU cost against p99 (it needs both figures)")
    across = min(len(groups), 2)
    figure, axes = _paper(request, -(-len(groups) // across), across, row=2.7, sharex="all", sharey="all")
    places = [each for row in axes for each in row]
    everyone = [each for group in found.values() for each in group]
    places[0].set_xlim(panels.reach(each.cost for each in everyone))
    places[0].set_ylim(panels.reach(each.gain for each in everyone))
    for each, group in zip(places, groups, strict=False):
        panels.trade(each, found[group], request.marks)
        each.set_title(_title(group))
    for each in places[len(groups) :]:
        each.set_visible(False)
    cases = list(dict.fromkeys(cell.case for cell in request.view.cells))
    there = {each.case for group in found.values() for each in group}
    _legend(figure, request, [case for case in cases if case in there], lines=False)
    return figure


def _timeline(request: FigureRequest) -> Figure:
    source = request.study.source
    if request.study.results is None:
        _few([], "time series (they need raw samples)")
    cells = group_cells(source.runs)
    wanted = list(request.runs) or list(typical_runs(source, cells).values())
    said = {}
    for cell in cells:
        for row in cell.rows:
            said[str(source.runs["run_id"].iloc[row])] = cell
    unknown = [run for run in wanted if run not in said]
    if unknown:
        raise InputError(
            "plot", on=f"run {unknown[0]}", got="there is no such run", todo="run ids are in runs.csv"
        )
    _few(wanted, "time series")
    found = [shape for shape in shapes(request.study, wanted, wanted) if shape.timeline]
    _few(found, "time series (they need raw samples)")
    figure, axes = _paper(request, len(found), 1, row=1.35, sharex="all", sharey="all")
    for each, shape in zip(axes[:, 0], found, strict=True):
        cell = said[shape.run_id]
        assert shape.timeline is not None
        panels.timeline(each, shape.timeline, request.marks[cell.case])
        each.set_title(", ".join(filter(None, [cell.case, _title(cell.factors)])))
    axes[-1, 0].set_xlabel("time since the measurement began, s")
    return figure


KINDS: dict[str, Callable[[FigureRequest], Figure]] = {
    "ecdf": _ecdf,
    "load": _load,
    "heatmap": _heatmap,
    "pareto": _pareto,
    "timeline": _timeline,
}
"""Every kind of figure by the name the command knows it by."""
