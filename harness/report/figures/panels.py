"""Draws a chart, or a heat map, on axes of matplotlib: small type, thin rules, no frame, text that stays text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from harness import columns
from harness.analysis.curves.cells import HeatMap
from harness.analysis.curves.palette import Mark
from harness.report import words
from harness.report.charts import Band, Chart, Dot, Losses, Needles, Peak, Polyline, Series
from harness.report.charts.scale import Scale
from harness.stats import Interval

SETTINGS: dict[str, str | float | bool | list[str]] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#5a6470",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e7ea",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.2,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.constrained_layout.use": True,
    # TrueType in PDF and text as text in SVG: journals and readers can search, select and restyle it.
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "pollbench",
    "savefig.dpi": 300,
    # A name from an experiment file is text, whatever it holds.
    "text.parse_math": False,
    "text.usetex": False,
}
MARKERS = {"circle": "o", "square": "s", "triangle": "^", "down": "v", "diamond": "D", "pentagon": "p"}
MARKERS |= {"plus": "P", "cross": "X"}
"""The markers of matplotlib, by shape."""

_INK, _FRONTIER, _LOST = "#1a1f26", "#5a6470", "#a3260f"
_FAINT = (0, (1, 2))


def strokes(mark: Mark, dash: str = "") -> dict[str, Any]:
    """Colour and dash of a case's line as matplotlib has them; dash: another than the case's own."""
    dash = dash or mark.dash
    style: Any = (0, tuple(float(part) for part in dash.split())) if dash else "solid"
    return {"color": mark.light, "linestyle": style}


def printable(text: str) -> str:
    """Text from a file with control and direction-changing characters as `?`; line ends of our own stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def panel(axes: Axes, chart: Chart, marks: Mapping[str, Mark]) -> None:
    """The chart's marks between its scales."""
    axes.set(xscale=_kind(chart.x), yscale=_kind(chart.y), xlim=chart.x.limits(), ylim=chart.y.limits())
    _named(axes.xaxis, chart.x, 5)
    _named(axes.yaxis, chart.y, 6)
    for series in chart.series:
        _series(axes, chart.x, series, marks.get(series.case))


def _kind(scale: Scale) -> str:
    return "log" if scale.log else "linear"


def _named(axis: Any, scale: Scale, ticks: int) -> None:
    """An axis with the ticks and the name of a scale."""
    axis.set_major_locator(FixedLocator(scale.ticks(ticks)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: scale.text(value)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_label_text(scale.name)


def _series(axes: Axes, scale: Scale, series: Series, look: Mark | None) -> None:
    colour = look.light if look else _FRONTIER
    lone = not any(isinstance(mark, Polyline) for mark in series.marks)
    for mark in series.marks:
        match mark:
            case Polyline():
                _line(axes, mark, look)
            case Band(upper, lower):
                axes.fill(*np.array([*upper, *reversed(lower)]).T, color=colour, alpha=0.16, linewidth=0)
            case Dot(at, across, up):
                axes.errorbar(
                    *at, xerr=_arms(at[0], across), yerr=_arms(at[1], up), color=colour,
                    marker=MARKERS[look.shape] if look else "o", elinewidth=0.8, capsize=0 if lone else 1.6,
                    markersize=5.5 if lone else None,
                )  # fmt: skip
                if lone:
                    axes.annotate(series.case, at, (5, 4), textcoords="offset points", color=colour)
            case Needles(strokes):
                at, low, high = np.array(strokes).reshape(-1, 3).T
                axes.vlines(at, low, high, color=colour, alpha=0.4, linewidth=0.9)
            case Losses(places):
                top = axes.get_xaxis_transform()
                axes.plot(places, [0.97] * len(places), "x", color=_LOST, transform=top, markersize=4)
            case Peak(at, text):
                axes.plot(*at, "o", color=colour, fillstyle="none", markersize=4)
                side = "right" if scale.share(at[0]) > 0.75 else "left"
                axes.annotate(text, at, (0, 4), textcoords="offset points", color=colour, fontsize=7, ha=side)


def _line(axes: Axes, line: Polyline, look: Mark | None) -> None:
    x, y = np.array(line.points).reshape(-1, 2).T
    if look is None or line.style == "frontier":
        axes.plot(x, y, color=_FRONTIER, linewidth=0.8, linestyle=(0, (3, 3)), zorder=1)
    elif line.style == "":
        axes.plot(x, y, **strokes(look, line.dash))
    else:
        axes.plot(x, y, color=look.light, linewidth=0.9, linestyle=_FAINT if line.style == "faint" else "solid")


def _arms(value: float, interval: Interval | None) -> Any:
    """Lengths of the error bars below and above; none where there is no interval."""
    if interval is None:
        return None
    return [[max(value - interval.low, 0.0)], [max(interval.high - value, 0.0)]]


def heat_panel(figure: Figure, axes: Axes, heat_map: HeatMap, metric: str) -> None:
    """The heat map with the number in every field."""
    rows = list(heat_map.rows)
    medians = [[heat_map.median(row, at, metric) for at in range(len(heat_map.values))] for row in rows]
    values = np.array([[m if m and m > 0 else np.nan for m in row] for row in medians])
    low, high = np.nanmin(values), np.nanmax(values)
    norm = LogNorm(low, high if high > low else low * 1.01)
    image = axes.imshow(values, cmap="Blues", norm=norm, aspect="auto")
    for down, across in np.argwhere(np.isfinite(values)):
        colour = "white" if norm(values[down, across]) > 0.55 else _INK
        text = words.short(float(values[down, across]))
        axes.text(across, down, text, ha="center", va="center", color=colour, fontsize=7.5)
    # Ticks are written when the figure is: these must be printable by themselves.
    names = [", ".join([case, *(f"{name}={value}" for name, value in factors)]) for case, factors in rows]
    axes.set_xticks(range(len(heat_map.values)), [printable(value) for value in heat_map.values])
    axes.set_yticks(range(len(rows)), [printable(name) for name in names])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(heat_map.factor)
    bar = figure.colorbar(image)
    name = words.named(columns.metric(metric))
    _named(bar.ax.yaxis, Scale(float(low), float(high), True, name), 6)
