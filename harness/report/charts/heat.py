"""A heat map as fields to draw: the median, what it shows against the baseline, and how strong its colour is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness import columns
from harness.analysis.curves import HeatMap
from harness.analysis.summary import CellView
from harness.report import words
from harness.stats import Estimate

STEPS = (1.5, 3.0, 10.0)
"""From which factor on a shown effect has the next stronger colour."""


@dataclass(frozen=True)
class Field:
    """One field: its median, what to say of it, and its colour from -4 (much worse) over 0 (nothing shown) to 4."""

    median: float
    text: str
    strength: int


def fields(heat: HeatMap, metric: str, cells: Sequence[CellView], baseline: str) -> dict[tuple[int, int], Field]:
    """The fields that have a number, by row and column.

    An effect is against the baseline case under the same factors; for the baseline itself, and where there is none,
    against the first column of its row. Only what was shown is coloured: by the change that was judged, else by
    intervals that lie apart.
    """
    by_key = {(cell.case, cell.factors): cell for cell in cells}
    drawn = {}
    for row, views in enumerate(heat.rows.values()):
        first = next((view for view in views if view is not None), None)
        for at, view in enumerate(views):
            median = view.median(metric) if view is not None else None
            if view is None or median is None:
                continue
            base = by_key.get((baseline, view.factors)) if view.case != baseline else None
            text, strength = _shown(view, base or first, metric)
            drawn[row, at] = Field(median, text, strength)
    return drawn


def _shown(view: CellView, base: CellView | None, metric: str) -> tuple[str, int]:
    change = view.changes.get(metric)
    if change is not None:
        claimed = change.outcome in ("lower", "higher") and change.factor is not None
        return words.verdict(change), _strength(change.factor or 1.0, change.judged == "better") if claimed else 0
    if base is None or base is view:
        return "", 0
    return _apart(view.estimates[metric], base.estimates.get(metric), metric)


def _apart(here: Estimate, there: Estimate | None, metric: str) -> tuple[str, int]:
    """What intervals that do not overlap show; nothing where they do, or where there are none."""
    if there is None or not here.interval or not there.interval or not here.median or not there.median:
        return "", 0
    lower = here.interval.high < there.interval.low
    if not lower and here.interval.low <= there.interval.high:
        return "", 0
    factor = max(here.median / there.median, there.median / here.median)
    direction = "lower" if lower else "higher"
    percent = abs(here.median / there.median - 1) * 100
    text = f"{factor:.1f}x {direction}" if factor >= 1.5 else f"{percent:.1f} % {direction}"
    return text, _strength(factor, columns.metric(metric).better == direction)


def _strength(factor: float, better: bool) -> int:
    size = 1 + sum(factor >= limit for limit in STEPS)
    return size if better else -size


def scale_words(baseline: str) -> str:
    """What the colours say, in a sentence."""
    against = f"the case {baseline} under the same factors" if baseline else "the first column"
    return (
        f"Blue: shown to be better than {against}; orange: shown to be worse; stronger from a factor of 1.5, 3 and 10. "
        "No colour: no difference was shown. The baseline is held against its own first column."
    )
