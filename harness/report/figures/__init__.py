"""Figures for papers, by matplotlib: vector text, colours and markers as in the report, the legend above."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from harness.analysis.compare import Factors
from harness.analysis.curves import Study, curves_of, heat_map, load_curves, marks, shapes, trades, typical_runs
from harness.analysis.curves.palette import Mark
from harness.analysis.summary import Overview
from harness.analysis.tail import parse_above, tails, what
from harness.analysis.tail.causes import Slow
from harness.errors import InputError
from harness.report import words
from harness.report.charts import Bar, Chart
from harness.report.charts.heat import fields
from harness.report.charts.kinds import QUANTILES, against_load, cost_charts, distribution, tail, time_series
from harness.report.charts.way import way
from harness.report.figures.panels import MARKERS, SETTINGS, heat_panel, name_dots, panel, printable, strokes
from harness.report.figures.summary import summary
from harness.tables.cells import group_cells

MOST = 8
"""Panels of one figure; a set with more is to be narrowed down by whoever knows what the paper is about."""

_FORMATS = ("svg", "pdf", "png")
_ROW = 2.35
_WORST = 3


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
        raise InputError("plot", on=f".{form}", got="no such kind of file", todo=f"name one of: {', '.join(_FORMATS)}")
    with matplotlib.rc_context(cast("Any", SETTINGS)):
        figure = KINDS[kind](request)
        if request.view.model_time:
            under = ", ".join(request.view.facts["accelerator"])
            figure.supxlabel(f"model time ({under})", fontsize="small", color="0.35")
        _only_printable(figure)
        sink = io.BytesIO()
        # The date is left out: a figure under version control changes when its data does.
        figure.savefig(sink, format=form, metadata={"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form))
    return sink.getvalue()


def _only_printable(figure: Figure) -> None:
    """An escape character from a file would make the SVG no XML at all."""
    for text in figure.findobj(Text):
        text.set_text(printable(text.get_text()))


def _few(items: Sequence[Any], kind: str) -> None:
    if not items:
        raise InputError("plot", on=kind, got="this set has nothing to draw of it")
    if len(items) > MOST:
        raise InputError("plot", on=kind, got=f"{len(items)} panels", todo=f"narrow to {MOST} with --at FACTOR=VALUE")


def _title(factors: Factors) -> str:
    return words.where(factors) if factors else ""


def _panels(
    request: FigureRequest, charts: Sequence[tuple[str, Chart]], across: int, row: float = _ROW, share: bool = False
) -> Figure:
    """The charts with their titles, so many in a row; share: those in a row or column need their axes named once."""
    rows = -(-len(charts) // across)
    figure = Figure(figsize=(request.width, row * rows + 0.3))
    axes = figure.subplots(rows, across, squeeze=False, sharex=share, sharey=share)
    for place, (title, chart) in zip(axes.flat, charts, strict=False):
        panel(place, chart, request.marks)
        place.set_title(title)
    for place in axes.flat[len(charts) :]:
        place.set_visible(False)
    return figure


def _legend(figure: Figure, request: FigureRequest, charts: Sequence[tuple[str, Chart]], lines: bool = True) -> Figure:
    drawn = {series.case for _, chart in charts for series in chart.series}
    cases = [case for case in request.marks if case in drawn]
    handles = []
    for case in cases:
        mark = request.marks[case]
        style = strokes(mark) if lines else {"color": mark.light, "linestyle": ""}
        handles.append(Line2D([], [], marker=MARKERS[mark.shape], label=case, **style))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(cases), 5))
    return figure


def _ecdf(request: FigureRequest) -> Figure:
    groups = curves_of(request.study, group_cells(request.study.source.runs))
    _few(list(groups), "distributions (they need raw samples of valid runs)")
    charts = []
    for factors, mine in groups.items():
        where = words.where(factors)
        charts += [(_title(factors), distribution(mine, where)), ("", tail(mine, where))]
    return _legend(_panels(request, charts, 2), request, charts)


def _load(request: FigureRequest) -> Figure:
    lines = load_curves(request.view.cells, least=2)
    _few(list(lines.panels) if lines else [], "load curves (they need a factor that is a number)")
    assert lines is not None
    metrics = [request.metric] if request.metric else QUANTILES
    rows = against_load(lines, metrics)
    # A row of axes in which no case has a figure says nothing.
    rows = {at: row for at, row in rows.items() if any(chart.series for chart in row)}
    _few(list(rows), "load curves (they need valid runs)")
    charts = [(_title(at) if chart is row[0] else "", chart) for at, row in rows.items() for chart in row]
    return _legend(_panels(request, charts, len(metrics)), request, charts)


def _heatmap(request: FigureRequest) -> Figure:
    heat = heat_map(request.view.cells)
    metric = request.metric or "rtt_p99_us"
    numbers = heat is not None and any(
        heat.median(row, at, metric) for row in heat.rows for at in range(len(heat.values))
    )
    _few([heat] if numbers else [], f"a heat map of {metric} (it needs a swept factor)")
    assert heat is not None
    figure = Figure(figsize=(request.width, 0.9 + 0.36 * len(heat.rows)))
    drawn = fields(heat, metric, request.view.cells, request.view.baseline)
    heat_panel(figure, heat, metric, drawn)
    return figure


def _pareto(request: FigureRequest) -> Figure:
    groups = trades(request.view.cells)
    _few(list(groups), "CPU cost against p99 (it needs both figures)")
    charts = [(_title(factors), chart) for factors, chart in cost_charts(groups).items()]
    figure = _panels(request, charts, min(len(groups), 2), row=2.7, share=True)
    _legend(figure, request, charts, lines=False)
    # Names go where there is room, which is known once all else has its place.
    _only_printable(figure)
    figure.draw_without_rendering()
    for place, (_, chart) in zip(figure.axes, charts, strict=False):
        name_dots(place, chart, request.marks)
    return figure


def _timeline(request: FigureRequest) -> Figure:
    source = request.study.source
    if request.study.results is None:
        _few([], "time series (they need raw samples)")
    cells = group_cells(source.table)
    asked = list(request.runs) or list(typical_runs(source, cells).values())
    cell_of = {str(source.runs["run_id"].iloc[row]): cell for cell in cells for row in cell.rows}
    unknown = [run for run in asked if run not in cell_of]
    if unknown:
        raise InputError("plot", on=f"run {unknown[0]}", got="there is no such run", todo="run ids are in runs.csv")
    _few(asked, "time series")
    shown = []
    for shape in shapes(request.study, asked, asked):
        if shape.timeline:
            cell = cell_of[shape.run_id]
            title = ", ".join(filter(None, [cell.case, _title(cell.factors)]))
            shown.append((cell.case, title, shape.timeline))
    _few(shown, "time series (they need raw samples)")
    charts = [(title, chart) for (_, title, _), chart in zip(shown, time_series(shown), strict=True)]
    figure = _panels(request, charts, 1, row=1.35, share=True)
    for place in figure.axes[:-1]:
        place.set_xlabel("")
    return figure


def _slowest(request: FigureRequest) -> Figure:
    """The ways of the slowest requests of the traced repetitions: of one cell three, of several fewer each."""
    cells = {(cell.case, tuple(cell.factors)) for cell in request.view.cells}
    told = tails(request.study.results, parse_above("p99")) if request.study.results else []
    mine = [one for one in told if (one.case, tuple(one.factors.items())) in cells and one.account and one.account.slow]
    need = "slow requests (they need a traced repetition with a conclusion: run --explain, pollbench explain)"
    _few(mine, need)
    charts = []
    for one in mine:
        assert one.account is not None
        worst = sorted(one.account.slow, key=Slow.latency_ns, reverse=True)[: min(_WORST, MOST // len(mine))]
        charts += [
            (f"{one.label()}: {slow.latency_ns() / 1e3:,.0f} us, {what(slow.cause)}", way(slow)) for slow in worst
        ]
    figure = _panels(request, charts, 1, row=1.45)
    for place in figure.axes[:-1]:
        place.set_xlabel("")
    bars = [mark for _, chart in charts for series in chart.series for mark in series.marks if isinstance(mark, Bar)]
    fills = {bar.kind: bar.fill for bar in bars}
    handles = [Patch(color=fill, label=kind) for kind, fill in fills.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 6))
    return figure


def _summary(request: FigureRequest) -> Figure:
    return summary(request.view, request.marks, request.metric, request.width)


_Draw = Callable[[FigureRequest], Figure]
KINDS: dict[str, _Draw] = {"ecdf": _ecdf, "load": _load, "heatmap": _heatmap, "pareto": _pareto, "timeline": _timeline}
KINDS |= {"slowest": _slowest, "summary": _summary}
"""Every kind of figure by the name the command knows it by."""
