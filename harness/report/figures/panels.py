"""Draws a chart, or a heat map, on axes of matplotlib: small type, thin rules, no frame, text that stays text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from harness import columns
from harness.analysis.curves.cells import HeatMap
from harness.analysis.curves.palette import Mark
from harness.report import words
from harness.report.charts import Band, Bar, Chart, Dot, Losses, Needles, Peak, Point, Points, Polyline, Series
from harness.report.charts.heat import Field
from harness.report.charts.labels import Labels
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
_LETTER, _LINE = 4.6, 9.0
# From much worse over nothing shown to much better: the page's colours on white paper.
_HEAT = ("#9c4a06", "#ef9f4c", "#f9cd9c", "#fdead6", "#f2f3f5", "#dceafa", "#b5d2f3", "#83b3e8", "#2a66ad")


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
            case Bar():
                _bar(axes, scale, mark)


def _line(axes: Axes, line: Polyline, look: Mark | None) -> None:
    x, y = np.array(line.points).reshape(-1, 2).T
    if look is None or line.style == "frontier":
        axes.plot(x, y, color=_FRONTIER, linewidth=0.8, linestyle=(0, (3, 3)), zorder=1)
    elif line.style == "":
        axes.plot(x, y, **strokes(look, line.dash))
    else:
        axes.plot(x, y, color=look.light, linewidth=0.9, linestyle=_FAINT if line.style == "faint" else "solid")


def _bar(axes: Axes, scale: Scale, bar: Bar) -> None:
    """A stretch on its lane, with its name where it fits between its ends."""
    axes.barh(bar.lane, bar.end - bar.begin, 0.72, bar.begin, color=bar.fill, linewidth=0, zorder=2)
    points = (scale.share(bar.end) - scale.share(bar.begin)) * axes.bbox.width * 72 / axes.figure.dpi
    if bar.text and len(bar.text) * _LETTER < points:
        axes.text((bar.begin + bar.end) / 2, bar.lane, bar.text, ha="center", va="center", color="white", fontsize=7)


def _arms(value: float, interval: Interval | None) -> Any:
    """Lengths of the error bars below and above; none where there is no interval."""
    if interval is None:
        return None
    return [[max(value - interval.low, 0.0)], [max(interval.high - value, 0.0)]]


def name_dots(axes: Axes, chart: Chart, marks: Mapping[str, Mark]) -> None:
    """The cases' names beside lone markers, none over another; once the figure's layout is known (in points)."""
    scale = 72 / axes.figure.dpi
    box = axes.get_window_extent()
    area = (box.x0 * scale, box.y0 * scale, box.x1 * scale, box.y1 * scale + 6)

    def places(points: Points) -> list[Point]:
        return [(float(x) * scale, float(y) * scale) for x, y in axes.transData.transform(np.array(points))]

    dots = [(series.case, mark) for series in chart.series for mark in series.marks if isinstance(mark, Dot)]
    lines = [places(mark.points) for series in chart.series for mark in series.marks if isinstance(mark, Polyline)]
    for _, dot in dots:
        (x, y), across, up = dot.at, dot.across, dot.up
        lines += [places([(across.low, y), (across.high, y)])] if across else []
        lines += [places([(x, up.low), (x, up.high)])] if up else []
    spots = places([dot.at for _, dot in dots])
    room = Labels(lines, [(x - 4, y - 4, x + 4, y + 4) for x, y in spots], area, 3.0)
    for (case, dot), spot in zip(dots, spots, strict=True):
        label = room.place(_LETTER * len(case), _LINE, [spot], 6.0, far=True)
        if label is None:
            continue
        colour = marks[case].light
        offset = (label.left - spot[0], label.middle - spot[1])
        stroke = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
        axes.annotate(
            case, dot.at, offset, textcoords="offset points", color=colour, va="center_baseline",
            arrowprops=stroke if label.stroke_from else None,
        )  # fmt: skip


def heat_panel(figure: Figure, heat_map: HeatMap, metric: str, drawn: Mapping[tuple[int, int], Field]) -> None:
    """The heat map with the number in every field and what it shows below; coloured by that alone."""
    axes, rows = figure.subplots(), list(heat_map.rows)
    values = np.full((len(rows), len(heat_map.values)), np.nan)
    for place, field in drawn.items():
        values[place] = field.strength
    shades = ListedColormap(_HEAT)
    image = axes.imshow(values, cmap=shades, norm=BoundaryNorm(np.arange(-4.5, 5), shades.N), aspect="auto")
    for (down, across), field in drawn.items():
        text = "\n".join(filter(None, (words.short(field.median), field.text)))
        colour = "white" if abs(field.strength) == 4 else _INK
        axes.text(across, down, text, ha="center", va="center", color=colour, fontsize=7, linespacing=1.15)
    # Ticks are written when the figure is: these must be printable by themselves.
    names = [", ".join([case, *(f"{name}={value}" for name, value in factors)]) for case, factors in rows]
    axes.set_xticks(range(len(heat_map.values)), [printable(value) for value in heat_map.values])
    axes.set_yticks(range(len(rows)), [printable(name) for name in names])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(heat_map.factor)
    bar = figure.colorbar(image, ticks=[-4, 0, 4])
    bar.ax.set_yticklabels(["worse", "nothing\nshown", "better"])
    bar.ax.tick_params(length=0)
    axes.set_title(words.named(columns.metric(metric)))
