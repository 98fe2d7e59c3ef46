"""The look of a figure on paper: small type, thin rules, no frame, text that stays text."""

from __future__ import annotations

from typing import Any, TypedDict

from harness.analysis.curves.palette import Mark

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


class Strokes(TypedDict):
    """How matplotlib draws a line."""

    color: str
    linestyle: Any


def strokes(mark: Mark, dash: str = "") -> Strokes:
    """Colour and dash of a case's line; dash: another than the case's own."""
    dash = dash or mark.dash
    style: Any = (0, tuple(float(part) for part in dash.split())) if dash else "solid"
    return {"color": mark.light, "linestyle": style}


def printable(text: str) -> str:
    """Text from a file with control and direction-changing characters as `?`; line ends of our own stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def marker(mark: Mark) -> str:
    """The marker of a case."""
    return _MARKERS[mark.shape]
