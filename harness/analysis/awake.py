"""Cells beside a hog whose CPUs are idle without it: an idle CPU must first be woken, so a hog can make them faster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness import stats
from harness.analysis.compare import Change, Factors, change, paired_values
from harness.tables.cells import SummaryCell
from harness.tables.columnar import Table

METRIC = "rtt_p50_us"
SLEEPS = ("server_voluntary_per_request", "client_voluntary_per_request")
LEAST_SLEEPS = 0.5
LEAST_IDLE_PERCENT = 5.0


@dataclass(frozen=True)
class KeptAwake:
    """A cell with a hog, held against the one that differs from it by the hog alone, whose CPUs were idler.

    change: of the median round trip, alone to beside, whatever it came to. end: whose program slept, and sleeps: how
    often per request, alone. idle_percent: idle time of the CPU set, alone and beside.
    """

    case: str
    factors: Factors
    change: Change
    end: str
    sleeps: float
    idle_percent: tuple[float, float]


def kept_awake(table: Table, cells: Sequence[SummaryCell]) -> Iterator[KeptAwake]:
    """Every cell beside a hog that its hog can have made faster, by counters: alone one end slept at least every other
    request, and the CPU set was idle for longer. Whether it is faster, the caller judges with all else it claims.
    """
    if METRIC not in table or "contention_load_percent" not in table:
        return
    alone = {_apart_from_hogs(cell): cell for cell in cells if cell.valid.size and not _has_hogs(table, cell)}
    for cell in cells:
        quiet = alone.get(_apart_from_hogs(cell))
        if quiet is None or not cell.valid.size or not _has_hogs(table, cell):
            continue
        values = table.floats(METRIC)
        pairs = paired_values(table, METRIC, quiet, cell)
        found = change(METRIC, values[quiet.valid], values[cell.valid], pairs=pairs)
        yield from _with_reason(table, quiet, cell, found)


def _with_reason(table: Table, quiet: SummaryCell, cell: SummaryCell, found: Change) -> Iterator[KeptAwake]:
    idle = [_median(table, "set_idle_percent", one) for one in (quiet, cell)]
    slept = [(name.partition("_")[0], _median(table, name, quiet)) for name in SLEEPS]
    end, sleeps = next(((end, times) for end, times in slept if times and times >= LEAST_SLEEPS), ("", None))
    if sleeps is None or idle[0] is None or idle[1] is None:
        return
    if idle[0] >= LEAST_IDLE_PERCENT and idle[1] < idle[0]:
        yield KeptAwake(cell.case, cell.factors, found, end, sleeps, (idle[0], idle[1]))


def _median(table: Table, name: str, cell: SummaryCell) -> float | None:
    return stats.estimate(table.floats(name)[cell.valid]).median if name in table else None


def _apart_from_hogs(cell: SummaryCell) -> tuple[str, Factors]:
    return cell.case, tuple(factor for factor in cell.factors if not factor[0].startswith("contention."))


def _has_hogs(table: Table, cell: SummaryCell) -> bool:
    """Had every valid run of the cell hogs that did something?"""
    load = table.floats("contention_load_percent")[cell.valid]
    return bool(load.size) and bool(np.all(np.nan_to_num(load) > 0))
