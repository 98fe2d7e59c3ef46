"""What a comparison is, as values: changes, rows, and the whole of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.columns import Column
from harness.compare.environment import Difference
from harness.stats import Estimate, Ratio

Outcome = Literal["lower", "higher", "~", ""]
Judged = Literal["better", "worse", ""]
Factors = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Change:
    """Test against base for one metric.

    outcome: "~" where no difference was shown, "" where none could be looked for (`note` says why);
    factor: how many times lower or higher, always >= 1; judged: by the metric's direction.
    """

    base: Estimate
    test: Estimate
    ratio: Ratio | None
    outcome: Outcome
    judged: Judged
    factor: float | None
    note: str = ""


@dataclass(frozen=True)
class Side:
    """A cell on one side: its case and how its runs went."""

    case: str
    valid: int
    total: int
    verdicts: dict[str, int]


@dataclass(frozen=True)
class Row:
    """One cell for one metric; a side that is None has no such cell, and `change.note` says so."""

    metric: str
    case: str
    factors: Factors
    base: Side | None
    test: Side | None
    change: Change


@dataclass(frozen=True)
class Comparison:
    """What a comparison found, ready to be printed: rows by metric, then in the order of the cells.

    kind: "sets" (two sources, runs not paired) or "cases" (cases of one source against its baseline case,
    paired by block). base_runs and test_runs: verdict counts of each side.
    """

    kind: Literal["sets", "cases"]
    base_label: str
    test_label: str
    metrics: tuple[Column, ...]
    rows: tuple[Row, ...]
    base_runs: dict[str, int]
    test_runs: dict[str, int]
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
