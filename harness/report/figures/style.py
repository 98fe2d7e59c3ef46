"""The look of a figure on paper: small type, thin rules, no frame, text that stays text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from harness.analysis.curves.palette import Mark

SETTINGS: dict[str, Any] = {
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
_MARKERS = {
    "circle": "o",
    "square": "s",
    "triangle": "^",
    "down": "v",
    "diamond": "D",
    "pentagon": "p",
    "plus": "P",
    "cross": "X",
}


def strokes(mark: Mark) -> dict[str, Any]:
    """Colour and dash of a case's line."""
    dash: Any = (0, tuple(float(part) for part in mark.dash.split())) if mark.dash else "solid"
    return {"color": mark.light, "linestyle": dash}


def printable(text: str) -> str:
    """Text from a file with control and direction-changing characters as `?`; line ends of our own stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def marker(mark: Mark) -> str:
    """The marker of a case."""
    return _MARKERS[mark.shape]


def times_on(axis: Any) -> None:
    """A logarithmic axis of microseconds whose ticks carry the unit that suits them."""
    _ticks(axis, time_text)


def plain_on(axis: Any) -> None:
    """A logarithmic axis whose ticks are plain numbers."""
    _ticks(axis, lambda value: f"{value:,.0f}" if value >= 1000 else f"{value:g}")


def _ticks(axis: Any, text: Callable[[float], str]) -> None:
    """Ticks at 1, 10, 100; over a short range more, so that there are always several."""
    low, high = axis.get_view_interval()
    span = high / low if low > 0 else 1e9
    if span < 4:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    else:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if span < 30 else (1.0,), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    axis.set_minor_formatter(NullFormatter())


def time_text(us: float) -> str:
    """A time with its unit: 500 ns, 20 µs, 1 ms."""
    for size, unit in ((1e6, "s"), (1e3, "ms"), (1.0, "µs")):
        if us >= size * 0.9999:
            return f"{us / size:g} {unit}"
    return f"{us * 1e3:g} ns"


def rest(axes: Axes, across: str, up: str) -> None:
    """Names of both axes."""
    axes.set_xlabel(across)
    axes.set_ylabel(up)
