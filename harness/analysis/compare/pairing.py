"""Which runs of two cells may be paired by block: those that were made side by side, on one machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harness import stats
from harness.analysis.compare.change import Floats
from harness.analysis.compare.environment import HOST, texts_of
from harness.stats import Looks
from harness.tables.cells import SummaryCell
from harness.tables.columnar import Table, table_of

if TYPE_CHECKING:
    import pandas as pd

Interleaving = Literal["shown", "declared", "apart", "elsewhere", "none"]
"""How two cells share blocks.

shown: the order (or time) of their runs proves that each block's runs were neighbours; declared: the table has blocks,
and neither order nor time; apart: order or time disproves it; elsewhere: the two were made on different hosts, kernels,
or whatever else tells machines apart; none: there are no blocks that both have, or one is there twice.
"""


def interleaving(runs: Table | pd.DataFrame, base: SummaryCell, test: SummaryCell) -> Interleaving:
    """Were the runs of these two cells made in turns, block by block?"""
    table = table_of(runs)
    if "block" not in table:
        return "none"
    blocks = _blocks(table, base, test)
    for cell in (base, test):
        mine = blocks[cell.valid]
        if not np.isfinite(mine).all() or _repeats(mine):
            return "none"
    if np.intersect1d(blocks[base.valid], blocks[test.valid]).size < stats.MIN_BLOCKS_RATIO:
        return "none"
    # Within one cell several machines may have taken their share of the blocks: only pairs have to be alike.
    if not _same_place(table, blocks, base, test):
        return "elsewhere"
    places = _places(table, np.concatenate((base.rows, test.rows)))
    shares = [_neighbours(blocks, place, base, test) for place in places]
    if not shares:
        return "declared"
    # Runs that were made again later are out of their block's time: a few of them undo no design.
    return "shown" if min(shares) > 0.5 else "apart"


def paired_values(runs: Table | pd.DataFrame, name: str, base: SummaryCell, test: SummaryCell) -> Floats | None:
    """Values of both cells in the blocks that both have (2 x n); None where the runs are not to be paired.

    Needs MIN_BLOCKS_RATIO common blocks, no block twice, and nothing on record against their having been made side by
    side; otherwise all runs are used unpaired instead.
    """
    if interleaving(runs, base, test) not in ("shown", "declared"):
        return None
    table = table_of(runs)
    blocks, values = _blocks(table, base, test), table.floats(name)
    left, right = (rows[np.isfinite(values[rows])] for rows in (base.valid, test.valid))
    common, ours, theirs = np.intersect1d(blocks[left], blocks[right], return_indices=True)
    if common.size < stats.MIN_BLOCKS_RATIO:
        return None
    # Machine by machine: the run that one may resemble is the one before it there.
    turns = np.argsort(table.once(_machines)[left[ours]], kind="stable")
    return np.stack((values[left[ours[turns]]], values[right[theirs[turns]]]))


def looks_of(plan: Mapping[str, Any]) -> Looks | None:
    """When the comparisons of a plan were looked at, where it ended with their verdicts; else None."""
    rule = plan.get("adaptive")
    if not isinstance(rule, dict) or not rule.get("verdict"):
        return None
    try:
        return Looks(int(rule["least"]), int(rule["most"]))
    except (KeyError, TypeError, ValueError):
        return None


def blocks_of(table: Table, base: SummaryCell, test: SummaryCell) -> tuple[Floats, Floats]:
    """The blocks of the runs that count of two cells."""
    blocks = _blocks(table, base, test)
    return blocks[base.valid], blocks[test.valid]


def times_of(table: Table) -> Floats:
    """When runs were begun, in seconds; NaN where the table does not say."""
    if "started_utc" not in table:
        return np.full(len(table), np.nan)
    # Imported here: most tables of other programs have no times.
    import pandas as pd

    times = pd.to_datetime(pd.Series(table["started_utc"].series()), errors="coerce", utc=True, format="ISO8601")
    # In microseconds: nanoseconds reach no further than the year 2262, and a table may hold any date.
    epoch = pd.Timestamp(0, tz="UTC").as_unit("us")
    return np.asarray((times.dt.as_unit("us") - epoch).dt.total_seconds(), dtype=np.float64)


def _blocks(table: Table, base: SummaryCell, test: SummaryCell) -> Floats:
    """The block of every row; where a cell has one twice, of several machines that numbered alike, each has its own.

    Above the block before: who looks at the first blocks looks at those of every machine.
    """
    blocks = table.floats("block")
    if not any(_repeats(blocks[cell.valid]) for cell in (base, test)):
        return blocks
    machines = table.once(_machines)
    return blocks - machines / (machines.max(initial=0) + 1)


def _machines(table: Table) -> npt.NDArray[np.intp]:
    """A number for every row, the same for rows that nothing of the host tells apart."""
    return table.groups(name for name in HOST if len(texts_of(table, name)) > 1)


def _repeats(blocks: Floats) -> bool:
    return np.unique(blocks).size != blocks.size


def _places(table: Table, rows: npt.NDArray[np.intp]) -> list[Floats]:
    """The position of every run in the order, and in time; only those that all of `rows` have.

    Machines work side by side: each has a stretch of its own.
    """
    machines = table.once(_machines)
    known = (place for place in (table.floats("order"), table.once(times_of)) if np.isfinite(place[rows]).all())
    return [place + machines * (np.ptp(place[rows]) + 1) for place in known]


def _neighbours(blocks: Floats, place: Floats, base: SummaryCell, test: SummaryCell) -> float:
    """The share of common blocks between whose two runs, by `place`, no other run of the two cells lies."""
    both = np.sort(place[np.concatenate((base.rows, test.rows))])
    common, ours, theirs = np.intersect1d(blocks[base.valid], blocks[test.valid], return_indices=True)
    one, other = place[base.valid[ours]], place[test.valid[theirs]]
    low, high = np.minimum(one, other), np.maximum(one, other)
    # Two runs of one sequence have two places: a tie is of two sequences laid on top of each other.
    between = np.searchsorted(both, high, "left") - np.searchsorted(both, low, "right")
    return float(np.mean((between == 0) & (low < high))) if common.size else 0.0


def _same_place(table: Table, blocks: Floats, base: SummaryCell, test: SummaryCell) -> bool:
    _, ours, theirs = np.intersect1d(blocks[base.valid], blocks[test.valid], return_indices=True)
    machines = table.once(_machines)
    return bool((machines[base.valid[ours]] == machines[test.valid[theirs]]).all())
