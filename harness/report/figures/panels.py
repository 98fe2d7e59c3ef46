"""One panel of each kind of figure, on axes that are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from harness import columns
from harness.analysis.compare import Factors
from harness.analysis.curves.distribution import Curve
from harness.analysis.curves.heat import HeatMap
from harness.analysis.curves.load import LoadCurves
from harness.analysis.curves.palette import Mark
from harness.analysis.curves.pareto import Trade
from harness.analysis.curves.reduce import GRID, MILLION, Timeline
from harness.report.figures.style import marker, plain_on, printable, rest, strokes, times_on
from harness.stats import Estimate

_SHARES = GRID / MILLION


def body(axes: Axes, drawn: Sequence[Curve], marks: Mapping[str, Mark]) -> None:
    """Share of requests answered within a time: the median run, and the span of all runs."""
    axes.set_xscale("log")
    for curve in drawn:
        style = strokes(marks[curve.case])
        there = curve.median_us > 0
        axes.fill_betweenx(
            100 * _SHARES[there],
            curve.low_us[there],
            curve.high_us[there],
            color=style["color"],
            alpha=0.16,
            linewidth=0,
        )
        axes.plot(curve.median_us[there], 100 * _SHARES[there], **style)
    last = int(np.searchsorted(GRID, 995_000))
    axes.set_xlim(
        min(np.nanmin(curve.low_us) for curve in drawn) * 0.9,
        max(np.nanmax(curve.median_us[:last]) for curve in drawn) * 1.2,
    )
    axes.set_ylim(0, 100)
    rest(axes, "round-trip time", "requests answered, %")
    times_on(axes.xaxis)


def tail(axes: Axes, drawn: Sequence[Curve], marks: Mapping[str, Mark]) -> None:
    """Share of requests slower than a time, both logarithmic; dotted where too few samples lie beyond."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for curve in drawn:
        style = strokes(marks[curve.case])
        least = 100 * curve.runs / max(curve.answered, 1)
        beyond = np.maximum(100 * (1 - _SHARES), least)
        there = curve.median_us > 0
        firm = there & (np.arange(GRID.size) < curve.firm)
        faint = there & (np.arange(GRID.size) >= curve.firm - 1)
        axes.plot(curve.median_us[firm], beyond[firm], **style)
        axes.plot(
            curve.median_us[faint], beyond[faint], color=style["color"], linestyle=(0, (1, 2)), linewidth=1
        )
    axes.set_ylim(top=100)
    rest(axes, "round-trip time", "requests slower, %")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:g}"))
    times_on(axes.xaxis)


def load(axes: Axes, found: LoadCurves, panel: Factors, metric: str, marks: Mapping[str, Mark]) -> None:
    """A metric against the swept number, with the interval of each median."""
    column = columns.metric(metric)
    for case in found.panels[panel]:
        points = found.estimates(panel, case, metric)
        if not points:
            continue
        middles = [estimate.median or 0.0 for _, estimate in points]
        axes.errorbar(
            [x for x, _ in points],
            middles,
            yerr=_arms([estimate for _, estimate in points]),
            marker=marker(marks[case]),
            capsize=1.6,
            elinewidth=0.8,
            **strokes(marks[case]),
        )
    numbers = sorted(set(found.axis.numbers.values()))
    if numbers[0] > 0 and numbers[-1] / numbers[0] > 30:
        axes.set_xscale("log")
    if len(numbers) <= 8:
        axes.set_xticks(numbers, [_thousands(number) for number in numbers])
        axes.xaxis.set_minor_formatter(NullFormatter())
    unit = f", {found.axis.said_unit}" if found.axis.said_unit else ""
    rest(axes, found.axis.name + unit, column.label)
    if column.unit == "us":
        axes.set_yscale("log")
        times_on(axes.yaxis)
    elif column.unit:
        axes.set_ylabel(f"{column.label}, {column.unit}")


def _thousands(number: float) -> str:
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{suffix}"
    return f"{number:g}"


def _arms(estimates: Sequence[Estimate]) -> Any:
    """Lengths of the error bars below and above; none where there is no interval."""
    low = [(e.median or 0.0) - e.interval.low if e.interval else 0.0 for e in estimates]
    high = [e.interval.high - (e.median or 0.0) if e.interval else 0.0 for e in estimates]
    return np.maximum(np.array([low, high]), 0.0)


def heat(figure: Figure, axes: Axes, found: HeatMap, metric: str) -> None:
    """The heat map with the number in every field."""
    rows = list(found.rows)
    values = np.full((len(rows), len(found.values)), np.nan)
    for down, row in enumerate(rows):
        for at in range(len(found.values)):
            estimate = found.estimate(row, at, metric)
            values[down, at] = estimate.median if estimate and (estimate.median or 0) > 0 else np.nan
    low, high = np.nanmin(values), np.nanmax(values)
    norm = LogNorm(low, high if high > low else low * 1.01)
    image = axes.imshow(values, cmap="Blues", norm=norm, aspect="auto")
    for down, across in np.argwhere(np.isfinite(values)):
        dark = norm(values[down, across]) > 0.55
        text = (
            f"{values[down, across]:.3g}" if values[down, across] < 1000 else f"{values[down, across]:,.0f}"
        )
        axes.text(
            across, down, text, ha="center", va="center", color="white" if dark else "#1a1f26", fontsize=7.5
        )
    # Ticks are written when the figure is: these must be printable by themselves.
    names = [", ".join([case, *(f"{name}={value}" for name, value in factors)]) for case, factors in rows]
    axes.set_xticks(range(len(found.values)), [printable(value) for value in found.values])
    axes.set_yticks(range(len(rows)), [printable(name) for name in names])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(found.factor)
    column = columns.metric(metric)
    unit = f", {column.unit}".replace(", us", ", µs") if column.unit else ""
    bar = figure.colorbar(image, label=f"{column.label}{unit}")
    plain_on(bar.ax.yaxis)


def reach(estimates: Iterable[Estimate]) -> tuple[float, float]:
    """Limits of a logarithmic axis that holds these with their intervals, and has room for names beside them."""
    ends = [
        end
        for each in estimates
        for end in (each.median, *((each.interval.low, each.interval.high) if each.interval else ()))
        if end and end > 0
    ]
    spare = max(1.25, (max(ends) / min(ends)) ** 0.15)
    return min(ends) / spare, max(ends) * spare


def trade(axes: Axes, group: Sequence[Trade], marks: Mapping[str, Mark]) -> None:
    """CPU cost against p99 with both intervals, and the line of cases that none beats on both."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    best = [each for each in group if each.best]
    axes.step(
        [each.cost.median or 0 for each in best],
        [each.gain.median or 0 for each in best],
        where="post", color="#5a6470", linewidth=0.8, linestyle=(0, (3, 3)), zorder=1,
    )  # fmt: skip
    for each in group:
        mark = marks[each.case]
        axes.errorbar(
            each.cost.median or 0, each.gain.median or 0, xerr=_arms([each.cost]), yerr=_arms([each.gain]),
            marker=marker(mark), color=mark.light, elinewidth=0.8, markersize=5.5,
        )  # fmt: skip
        axes.annotate(
            each.case,
            (each.cost.median or 0, each.gain.median or 0),
            (5, 4),
            textcoords="offset points",
            color=mark.light,
        )
    cost = columns.metric(group[0].metric)
    in_time = cost.unit == "us"
    rest(axes, "CPU time per request" if in_time else cost.label, "RTT p99")
    if in_time:
        times_on(axes.xaxis)
    else:
        plain_on(axes.xaxis)
    times_on(axes.yaxis)


def timeline(axes: Axes, series: Timeline, mark: Mark) -> None:
    """Median of every slice as a line, up to its greatest round trip a needle; crosses are lost requests."""
    at = (np.arange(series.p50_us.size) + 0.5) * series.slice_s
    axes.set_yscale("log")
    axes.vlines(at, series.p50_us, series.max_us, color=mark.light, alpha=0.4, linewidth=0.9)
    axes.plot(at, series.p50_us, color=mark.light, linewidth=0.9)
    gone = np.flatnonzero(series.lost)
    axes.plot(
        at[gone],
        np.full(gone.size, 0.97),
        "x",
        color="#a3260f",
        transform=axes.get_xaxis_transform(),
        markersize=4,
    )
    axes.set_xlim(0, at[-1] + series.slice_s)
    axes.set_ylabel("round trip")
    times_on(axes.yaxis)
