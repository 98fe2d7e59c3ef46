"""Two cells against each other for one metric: their medians, the effect, and what it shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness import columns, stats
from harness.analysis.compare.model import DEFAULT_WIDTH, Change, Judged, Outcome, Side
from harness.stats import Effect, Estimate
from harness.tables.cells import SummaryCell, is_tail

Floats = npt.NDArray[np.float64]


def change(
    name: str,
    base: npt.ArrayLike,
    test: npt.ArrayLike,
    *,
    pairs: npt.NDArray[np.float64] | None = None,
    smallest_effect: float = 0.0,
) -> Change:
    """Compare the runs of two cells for the metric `name`; `pairs` (2 x n) where they share n blocks.

    smallest_effect: a share; an interval wholly within it either way is "~", however narrow.
    """
    one, other = stats.clean(base), stats.clean(test)
    left, right = stats.estimate_sorted(one), stats.estimate_sorted(other)
    if pairs is not None:
        one, other = pairs
    effect = stats.effect(one, other, paired=pairs is not None)
    if effect.difference is None:
        blank = [np.size(side) > 0 and is_tail(name) for side in (base, test)]
        return missing(left, right, _no_effect(blank, left, right))
    outcome, small = _outcome(effect, smallest_effect)
    needed = None
    if not small and outcome not in ("lower", "higher"):
        needed = stats.runs_needed(one, other, effect.ratio, smallest_effect or DEFAULT_WIDTH)
    direction = columns.metric(name).better if outcome in ("lower", "higher") else ""
    judged: Judged = "" if not direction else "better" if direction == outcome else "worse"
    return Change(
        base=left,
        test=right,
        ratio=effect.ratio,
        outcome=outcome,
        judged=judged,
        factor=max(effect.ratio.value, 1 / effect.ratio.value) if effect.ratio else None,
        note=_doubt(effect),
        difference=effect.difference,
        rank=effect.rank,
        small=small,
        needed=needed,
    )


def _outcome(effect: Effect, smallest: float) -> tuple[Outcome, bool]:
    """What the intervals show, and whether they show that whatever there is does not matter."""
    decides = effect.ratio or effect.difference
    if decides is None or decides.interval is None:
        return "", False
    ends = effect.ratio.interval if effect.ratio else None
    if ends is not None and smallest and ends.within(1 / (1 + smallest), 1 + smallest):
        return "~", True
    if not decides.shown:
        return "~", False
    assert effect.difference is not None
    return "lower" if effect.difference.value < 0 else "higher", False


def _doubt(effect: Effect) -> str:
    if effect.difference is not None and effect.difference.interval is None:
        return f"a claim needs {stats.MIN_RUNS_RATIO} valid runs on either side"
    return "" if effect.ratio else "no ratio of values that are zero or negative"


def values_of(runs: pd.DataFrame, name: str) -> Floats:
    """A column of numbers; all blank where the table has no such column."""
    if name not in runs.columns:
        return np.full(len(runs), np.nan)
    return runs[name].to_numpy(dtype=np.float64)


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
                f"not every valid run of the {label} has one: it takes more requests a run, and a median of those "
                "that have it would be of the fast runs"
            )
        if side.n == 0:
            return f"no valid run of the {label} has a value"
    return "the values are too large to compare"
