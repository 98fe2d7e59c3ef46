"""Two cells against each other for one metric: their medians, the ratio, and what it shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness import columns, stats
from harness.compare.model import Change, Judged, Outcome, Side
from harness.stats import Estimate
from harness.tables.cells import Cell

Floats = npt.NDArray[np.float64]


def change(
    name: str, base: npt.ArrayLike, test: npt.ArrayLike, *, pairs: npt.NDArray[np.float64] | None = None
) -> Change:
    """Compare the runs of two cells for the metric `name`; `pairs` (2 x n) where they share n blocks."""
    left, right = stats.estimate(base), stats.estimate(test)
    if pairs is not None:
        ratio = stats.ratio_interval(pairs[0], pairs[1], paired=True)
    else:
        ratio = stats.ratio_interval(stats.clean(base), stats.clean(test))
    if ratio is None:
        return Change(left, right, None, "", "", None, _no_ratio(left, right))
    factor = max(ratio.value, 1 / ratio.value)
    if ratio.interval is None:
        need = stats.MIN_RUNS_RATIO
        return Change(left, right, ratio, "", "", factor, f"a claim needs {need} valid runs on either side")
    if not ratio.shown:
        return Change(left, right, ratio, "~", "", factor)
    outcome: Outcome = "lower" if ratio.value < 1 else "higher"
    better = columns.metric(name).better
    judged: Judged = "" if not better else "better" if better == outcome else "worse"
    return Change(left, right, ratio, outcome, judged, factor)


def paired_values(runs: pd.DataFrame, name: str, base: Cell, test: Cell) -> npt.NDArray[np.float64] | None:
    """Values of both cells in the blocks that both have (2 x n); None where the design is not paired.

    Needs MIN_BLOCKS_RATIO common blocks and no block twice; with fewer, all runs are used unpaired instead.
    """
    if "block" not in runs.columns:
        return None
    blocks, values = runs["block"].to_numpy(dtype=np.float64), values_of(runs, name)
    left, right = (rows[np.isfinite(values[rows])] for rows in (base.valid, test.valid))
    for rows in (left, right):
        found = blocks[rows]
        if not np.isfinite(found).all() or np.unique(found).size != found.size:
            return None
    common, ours, theirs = np.intersect1d(blocks[left], blocks[right], return_indices=True)
    if common.size < stats.MIN_BLOCKS_RATIO:
        return None
    return np.stack((values[left[ours]], values[right[theirs]]))


def values_of(runs: pd.DataFrame, name: str) -> Floats:
    """A column of numbers; all blank where the table has no such column."""
    if name not in runs.columns:
        return np.full(len(runs), np.nan)
    return runs[name].to_numpy(dtype=np.float64)


def missing(base: Estimate, test: Estimate, note: str) -> Change:
    """A change that could not be looked for, and why."""
    return Change(base, test, None, "", "", None, note)


def with_reason(found: Change, cells: tuple[Cell, Cell], labels: tuple[str, str]) -> Change:
    """The reason of a side without valid runs is its verdicts, not the arithmetic."""
    reasons = [
        f"{label}: {why_not_valid(cell)}"
        for cell, label in zip(cells, labels, strict=True)
        if not cell.valid.size
    ]
    return missing(found.base, found.test, "; ".join(reasons)) if reasons else found


def why_not_valid(side: Side | Cell | None) -> str:
    """Why a cell has no valid run, by its verdicts."""
    counts = side.verdicts if side else {}
    others = [f"{count} {verdict}" for verdict, count in counts.items() if count and verdict != "valid"]
    return f"no valid run ({', '.join(others)})" if others else "no valid run"


def _no_ratio(base: Estimate, test: Estimate) -> str:
    for side, label in ((base, "first"), (test, "second")):
        if side.n == 0:
            return f"no valid run of the {label} has a value"
    return "no ratio of values that are zero or negative"
