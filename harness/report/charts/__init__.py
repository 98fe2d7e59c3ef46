"""What a chart is: two scales and, for every case, marks in units of the data; html/svg.py and figures/ draw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.report.charts.scale import Scale
from harness.stats import Interval

Point = tuple[float, float]
Points = Sequence[Point]


@dataclass(frozen=True)
class Polyline:
    """A line through points. faint: from too few samples; thin: one run; frontier: joins the best of all cases.

    dash: instead of the case's own, where a case has several lines.
    """

    points: Points
    style: Literal["", "faint", "thin", "frontier"] = ""
    dash: str = ""


@dataclass(frozen=True)
class Band:
    """The area between two lines."""

    upper: Points
    lower: Points


@dataclass(frozen=True)
class Dot:
    """The case's marker at a place, with the intervals of both figures.

    tip: what it says when pointed at; runs: how many the figures are of.
    """

    at: Point
    across: Interval | None = None
    up: Interval | None = None
    tip: str = ""
    size: float = 3.6
    runs: int = 0


@dataclass(frozen=True)
class Needles:
    """Upright strokes: place, lower end, upper end."""

    strokes: Sequence[tuple[float, float, float]]


@dataclass(frozen=True)
class Losses:
    """Places along the x axis where requests were lost."""

    places: Sequence[float]


@dataclass(frozen=True)
class Peak:
    """The highest point, ringed, and what it was."""

    at: Point
    text: str


@dataclass(frozen=True)
class Bar:
    """A stretch of the x axis on one lane of a y axis of words.

    fill: its colour, #rrggbb; kind: what the colour stands for; text: written inside where there is room; tip: what it
    says when pointed at.
    """

    lane: int
    begin: float
    end: float
    fill: str
    kind: str
    text: str = ""
    tip: str = ""


ChartMark = Polyline | Band | Dot | Needles | Losses | Peak | Bar


@dataclass(frozen=True)
class Series:
    """The marks of one case; of none ("") what belongs to all.

    anchors: places beside which its name may stand, the best first; none: the name is not written. name: if not the
    case's.
    """

    case: str
    marks: Sequence[ChartMark]
    anchors: Points = ()
    name: str = ""


@dataclass(frozen=True)
class Chart:
    """One pair of axes. label: what it shows, in words; reads: how a reader points at it.

    reads: "points" (each dot has a tip), "share" (a height is the share of requests answered within a time), "beyond"
    (of those slower), "" where there is nothing to point at. strip: lower than others, for many below one another.
    """

    x: Scale
    y: Scale
    series: Sequence[Series]
    label: str
    reads: Literal["", "points", "share", "beyond"] = ""
    strip: bool = False
