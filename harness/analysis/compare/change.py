"""Two cells against each other for one metric: their medians, the effect, and what it shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness import columns, stats
from harness.analysis.compare.model import ALONE, DEFAULT_WIDTH, EXACT, Change, Family, Judged, Outcome, Reach, Side
from harness.stats import Effect, Estimate, Interval, Looks, course
from harness.tables.cells import SummaryCell, is_tail
from harness.tables.columnar import Table, table_of

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
ACCOUNTING = "its own interval decides, what the accounting of the cost leaves open does not: no runs would"
"""Why a condition is open that more runs would not decide."""

_BOUNDED, _BOUNDS = "set_cpu_us_per_request", ("set_cpu_low_us_per_request", "set_cpu_high_us_per_request")


def change(
    name: str,
    base: Floats,
    test: Floats,
    *,
    pairs: npt.NDArray[np.float64] | None = None,
    smallest_effect: float = 0.0,
    reach: tuple[Reach, Reach] = (EXACT, EXACT),
) -> Change:
    """Compare the runs of two cells, in their order, for the metric `name`; `pairs` (2 x n) where they share n blocks.

    smallest_effect: a share; an interval wholly within it either way is "~", however narrow. reach: as `reach_of` has
    it. It is judged for itself alone; `decided` does so among others, with what `measured` leaves open.
    """
    return decided(name, measured(name, base, test, pairs=pairs, reach=reach), smallest_effect)


def measured(
    name: str,
    base: Floats,
    test: Floats,
    *,
    pairs: npt.NDArray[np.float64] | None = None,
    looks: Looks | None = None,
    blocks: tuple[Floats, Floats] | None = None,
    reach: tuple[Reach, Reach] = (EXACT, EXACT),
) -> Change:
    """The same before anything is claimed: what `decided` takes, once it is known what is judged together.

    looks, blocks: of runs that were made until their comparisons were decided, and which blocks they are of.
    reach: as `reach_of` has it.
    """
    one, other = stats.clean(base), stats.clean(test)
    left, right = stats.estimate_sorted(one), stats.estimate_sorted(other)
    effect = stats.effect(base, test, ordered=(one, other)) if pairs is None else stats.effect(*pairs, paired=True)
    if effect.difference is None:
        blank = [np.size(side) > 0 and is_tail(name) for side in (base, test)]
        return missing(left, right, _no_effect(blank, left, right))
    seen = ()
    if looks is not None and blocks is not None:
        seen = course((base, blocks[0]), (test, blocks[1]), looks, effect.ratio is not None)
    return Change(
        base=left,
        test=right,
        course=seen,
        ratio=effect.ratio,
        outcome="",
        judged="",
        factor=max(effect.ratio.value, 1 / effect.ratio.value) if effect.ratio else None,
        note="" if seen else _doubt(effect),
        difference=effect.difference,
        rank=effect.rank,
        reach=reach,
    )


def decided(name: str, found: Change, smallest: float, family: Family = ALONE) -> Change:
    """The change with what is claimed of it as one of a family.

    A claim takes both intervals, its own and the one that holds together with the others' (Bonferroni).
    """
    decides, own = found.decides, found.decides.interval if found.decides else None
    if decides is None:
        return found
    contrast = decides.contrast.widened(family.lag) if own and decides.contrast else None
    together = contrast.interval(family.confidence) if contrast else None
    if found.course:
        # Runs stopped when this was decided, of which the interval alone knows nothing; the one of all looks does.
        own = together = stats.together(found.course, family.level, family.comparisons, family.lag)
    outcome: Outcome = "" if own is None else "~"
    no_larger = None
    bounded = False
    if own is not None and together is not None:
        outcome, no_larger = _outcome((own, together), found.ratio is not None, smallest)
        if found.ratio is not None and found.leeway > 1:
            sure = _outcome((off_by(found.leeway, own), off_by(found.leeway, together)), True, smallest)
            bounded = sure != (outcome, no_larger)
            outcome, no_larger = sure
    needed = None
    if no_larger is None and outcome not in ("lower", "higher") and not bounded:
        runs = min(found.base.n, found.test.n)
        needed = stats.runs_needed(runs, found.ratio, smallest or DEFAULT_WIDTH, family.confidence, family.lag)
    direction = columns.metric(name).better if outcome in ("lower", "higher") else ""
    judged: Judged = "" if not direction else "better" if direction == outcome else "worse"
    return replace(
        found,
        outcome=outcome,
        judged=judged,
        needed=needed,
        together=together,
        comparisons=family.comparisons,
        no_larger=no_larger,
        lag=family.lag,
        bounded=bounded,
    )


def off_by(leeway: float, interval: Interval) -> Interval:
    """The interval of a ratio that may be off by a factor, both ways."""
    return replace(interval, low=interval.low / leeway, high=interval.high * leeway)


def level_off_by(reach: Reach, interval: Interval) -> Interval:
    """The interval of a level that may be as much less, and more."""
    return replace(interval, low=interval.low / reach.less, high=interval.high * reach.more)


def _outcome(intervals: tuple[Interval, ...], is_ratio: bool, smallest: float) -> tuple[Outcome, float | None]:
    """What all intervals show, and the share that no difference exceeds, where they show that."""
    limit = smallest or DEFAULT_WIDTH
    ends = (1 / (1 + limit), 1 + limit) if is_ratio else (0.0, 0.0)
    small = limit if is_ratio else 0.0
    alike = all(interval.within(*ends) for interval in intervals)
    if alike and (smallest or not is_ratio):
        return "~", small
    none = 1.0 if is_ratio else 0.0
    if all(interval.high < none for interval in intervals):
        return "lower", None
    if all(interval.low > none for interval in intervals):
        return "higher", None
    return "~", small if alike else None


def _doubt(effect: Effect) -> str:
    if effect.difference is not None and effect.difference.interval is None:
        return f"a claim needs {stats.MIN_RUNS_RATIO} valid runs on either side"
    return "" if effect.ratio else "no ratio of values that are zero or negative"


def values_of(runs: Table | pd.DataFrame, name: str) -> Floats:
    """A column of numbers; all blank where the table has no such column."""
    return table_of(runs).floats(name)


def reach_of(name: str, base: tuple[Table, Rows], test: tuple[Table, Rows]) -> tuple[Reach, Reach]:
    """How far the figures of base and test may be off, by the bounds of their runs; not at all for what has none.

    base, test: a table, and which of its rows.
    """
    return (_reach(*base), _reach(*test)) if name == _BOUNDED else (EXACT, EXACT)


def _reach(table: Table, rows: Rows) -> Reach:
    value, low, high = (table.floats(name)[rows] for name in (_BOUNDED, *_BOUNDS))
    known = (value > 0) & (low > 0) & np.isfinite(value) & np.isfinite(low) & np.isfinite(high)
    if not known.any():
        return EXACT
    less, more = np.median(value[known] / low[known]), np.median(high[known] / value[known])
    return Reach(max(1.0, float(less)), max(1.0, float(more)))


def missing(base: Estimate, test: Estimate, note: str) -> Change:
    """A change that could not be computed; note: why, in words."""
    return Change(base, test, None, "", "", None, note)


def with_reason(change: Change, cells: tuple[SummaryCell, SummaryCell], labels: tuple[str, str]) -> Change:
    """The reason of a side without valid runs is its verdicts, not the arithmetic."""
    reasons = [
        f"{label}: {why_not_valid(cell)}" for cell, label in zip(cells, labels, strict=True) if not cell.valid.size
    ]
    return missing(change.base, change.test, "; ".join(reasons)) if reasons else change


def why_not_valid(side: Side | SummaryCell | None) -> str:
    """Why a cell has no valid run, by its verdicts."""
    counts = side.verdicts if side else {}
    others = [f"{count} {verdict}" for verdict, count in counts.items() if count and verdict != "valid"]
    return f"no valid run ({', '.join(others)})" if others else "no valid run"


def _no_effect(tail: list[bool], base: Estimate, test: Estimate) -> str:
    """tail: on which side there are runs, and only some know this quantile."""
    for side, label, some in ((base, "first", tail[0]), (test, "second", tail[1])):
        if side.n == 0 and some:
            return (
                f"not every valid run of the {label} has one, and a median of the others is not told: "
                "what lacks a quantile is mostly a run of few, slow requests"
            )
        if side.n == 0:
            return f"no valid run of the {label} has a value"
    return "the values are too large to compare"
