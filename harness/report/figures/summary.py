"""The slide: the answer as its title, a bar for each cell with its number and interval, and what it was measured on."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness import columns
from harness.analysis.curves.palette import Mark
from harness.analysis.summary import CellView, Overview, cost_of
from harness.columns import Column
from harness.errors import InputError
from harness.report import answer, words
from harness.report.figures.panels import printable
from harness.report.resultset import measured_on

MOST_BARS = 24
_LEADING = ("rtt_p50_us", "latency_p50", "throughput_bps")
_BAR, _HEAD = 0.27, 1.35
_INK, _FAINT = "#1a1f26", "#5a6470"


def summary(view: Overview, marks: Mapping[str, Mark], metric: str | None, width: float) -> Figure:
    """One figure of one set: a metric (default the median round trip) and what a request costs, cell by cell.

    Raises InputError where no cell has the metric, or more cells have it than a slide holds.
    """
    name = metric or next(
        (one for one in ("rtt_p50_us", "latency_p50", "throughput_bps") if _has(view, one)), "rtt_p50_us"
    )
    cells = [cell for cell in view.cells if cell.median(name) is not None]
    if not cells:
        needs = f"summary (it needs valid runs with {name})"
        raise InputError("plot", on=needs, got="this set has nothing to draw of it")
    if len(cells) > MOST_BARS:
        todo = f"narrow to {MOST_BARS} with --at FACTOR=VALUE or --case NAME"
        raise InputError("plot", on="summary", got=f"{len(cells)} bars", todo=todo)
    cost = cost_of(cells)
    shown = [name] + ([cost] if cost != name and _has(view, cost) else [])
    rows = len(cells) + len({cell.factors for cell in cells})
    title = textwrap.fill(_title(view), round(11 * width), break_long_words=False)
    lines = 1 + title.count("\n")
    figure = Figure(figsize=(width, _HEAD + 0.16 * lines + _BAR * rows))
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for place, column in zip(axes, map(columns.metric, shown), strict=True):
        _bars(place, cells, column, view, marks)
    _names(axes[0], cells)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    figure.supxlabel(
        textwrap.fill(_foot(view, cells), round(19 * width)), x=0.01, ha="left", fontsize=6.5, color=_FAINT
    )
    return figure


def _has(view: Overview, name: str) -> bool:
    return any(cell.median(name) is not None for cell in view.cells)


def _title(view: Overview) -> str:
    """The first finding, without its evidence and what stands in brackets."""
    unit = "model us" if view.model_time else "us"
    texts = answer.of_overview(view, unit)
    if not texts:
        return view.name
    lead, *others = answer.without_brackets(texts[0]).split("; ")
    return "; ".join([lead, *(part for part in others if part.startswith("cost: "))]).removesuffix(".")


def _layout(cells: Sequence[CellView]) -> list[tuple[float, CellView | str]]:
    """What stands at which height, from the top: a heading for each combination of factors, and its cells."""
    places: list[tuple[float, CellView | str]] = []
    at = 0.0
    for factors in dict.fromkeys(cell.factors for cell in cells):
        if factors:
            places.append((at, words.where(factors)))
            at += 0.9
        for cell in cells:
            if cell.factors == factors:
                places.append((at, cell))
                at += 1.0
    return places


def _bars(axes: Axes, cells: Sequence[CellView], column: Column, view: Overview, marks: Mapping[str, Mark]) -> None:
    reach = 0.0
    for at, cell in _layout(cells):
        estimate = cell.estimates.get(column.name) if not isinstance(cell, str) else None
        if isinstance(cell, str) or estimate is None or estimate.median is None:
            continue
        mark = marks.get(cell.case)
        axes.barh(at, estimate.median, height=0.72, color=mark.light if mark else _FAINT, alpha=0.85)
        end = estimate.median
        if interval := estimate.interval:
            end = max(end, interval.high)
            for colour, thick in (("white", 2.6), (_INK, 1.1)):
                axes.plot([interval.low, interval.high], [at, at], color=colour, linewidth=thick, solid_capstyle="butt")
        verdict = words.verdict(cell.changes.get(column.name))
        text = f" {words.short(estimate.median)}" + (f"  {verdict}" if verdict else "")
        axes.annotate(printable(text), (end, at), va="center", fontsize=7.5, color=_INK, annotation_clip=False)
        reach = max(reach, end)
    axes.set_xlim(0, 1.02 * reach or 1.0)
    axes.set_xlabel(f"{words.named(column)}{' (model time)' if view.model_time else ''}")
    # The numbers stand right of the bars: the longest needs room there.
    axes.set_xlim(0, 1.55 * reach or 1.0)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _names(axes: Axes, cells: Sequence[CellView]) -> None:
    """The cases at their bars, headings at the left edge; the first is at the top."""
    places = _layout(cells)
    bars = [(at, cell) for at, cell in places if not isinstance(cell, str)]
    axes.set_yticks([at for at, _ in bars], [printable(cell.case) for _, cell in bars])
    for at, heading in places:
        if isinstance(heading, str):
            axes.annotate(
                printable(heading), (0, at), xycoords=("axes fraction", "data"), va="center", fontsize=7.5, color=_FAINT
            )
    axes.set_ylim(max(at for at, _ in places) + 0.6, -0.7)


def _foot(view: Overview, cells: Sequence[CellView]) -> str:
    runs = sorted({estimate.n for cell in cells for estimate in cell.estimates.values() if estimate.n})
    count = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}" if runs else "0"
    sure = f"what is said of changes is {words.share(1 - view.family.level)} sure together"
    bars = (
        f"Bars: medians of {count} runs a case; lines: their intervals; {sure}. {view.label}. {measured_on(view.facts)}"
    )
    return printable(bars.strip())
