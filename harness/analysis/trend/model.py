"""What a trend is, as values: histories of medians, set after set, and the changes of level in them."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.compare import Change, Factors
from harness.analysis.compare.model import Judged
from harness.stats import Interval

MOMENT = "date"
"""The label of sets by the time when they were begun."""


@dataclass(frozen=True)
class Moment:
    """A set's part in a history: the median of its runs that count, how many these are, and when they were made.

    label: what the set is called in the history; begun: UTC, ISO 8601, "" where nothing tells; origin: the set or file;
    interval: of the median.
    """

    label: str
    begun: str
    origin: str
    value: float
    runs: int
    interval: Interval | None = None


@dataclass(frozen=True)
class Shift:
    """A change of level: the moments from `at` on against those before, up to the next change on either side.

    earliest, latest: the first moments of the new level that it may have, with a confidence of 95 %; p: of there being
    no change at all; change: by the medians of the sets; interval: of the ratio, or of the difference where there is
    no ratio, at 95 %; None where a side has one set alone.
    """

    at: int
    earliest: int
    latest: int
    p: float
    change: Change
    interval: Interval | None

    @property
    def judged(self) -> Judged:
        """Is the new level better or worse, by the metric's direction?"""
        return self.change.judged


@dataclass(frozen=True)
class History:
    """A metric of one cell over its sets, and where its level changes."""

    metric: str
    case: str
    factors: Factors
    moments: tuple[Moment, ...]
    shifts: tuple[Shift, ...] = ()


@dataclass(frozen=True)
class Trend:
    """All histories, judged together.

    level: the chance that any change is claimed where there is none; lag: how much sets may resemble the ones before
    them, which p values and intervals allow for; judged: how many histories are long enough for a claim; least: how
    many sets that takes; label: what moments are called by; common: what all histories have in common, by column.
    """

    histories: tuple[History, ...]
    level: float
    lag: float
    judged: int
    least: int
    label: str
    common: Factors
    notes: tuple[str, ...] = ()
