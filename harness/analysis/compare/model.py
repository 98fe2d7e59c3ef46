"""What a comparison is, as values: what was asked, changes, rows, and the whole of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from harness.analysis.compare.environment import EnvironmentDifference
from harness.analysis.compare.experiments import ExperimentDifference
from harness.columns import Column
from harness.stats import Difference, Estimate, RankTest, Ratio

Outcome = Literal["lower", "higher", "~", ""]
Judged = Literal["better", "worse", ""]
Sort = Literal["plan", "case", "effect", "p"]
Factors = tuple[tuple[str, str], ...]

LEVEL = 0.05
"""A change is confirmed when its p value, corrected for all comparisons of its metric, is at most this."""

DEFAULT_WIDTH = 0.05
"""The half-width an interval should have when nobody named a smallest effect of interest: 5 %."""


@dataclass(frozen=True)
class Options:
    """What to compare and how. Defaults compare everything that is valid by the default metrics.

    by: the columns that tell cells apart beside the case (default: every factor); filters: expressions, all
    of which must hold; include: verdicts that count beside valid; smallest_effect: changes within this share
    do not matter (0.02 is 2 %), None: what the experiment declares, else nothing; sort: order of the rows.
    """

    metrics: tuple[str, ...] | None = None
    by: tuple[str, ...] | None = None
    filters: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    smallest_effect: float | None = None
    sort: Sort = "plan"


@dataclass(frozen=True)
class Change:
    """Test against base for one metric.

    outcome: "~" where no difference was shown or only one too small to matter (`small`), "" where none could
    be looked for (`note` says why); factor: how many times lower or higher, always >= 1, None without a
    ratio; judged: by the metric's direction; p: of the rank test, corrected for its family (None outside of
    one); needed: runs a side that would narrow an undecided interval enough.
    """

    base: Estimate
    test: Estimate
    ratio: Ratio | None
    outcome: Outcome
    judged: Judged
    factor: float | None
    note: str = ""
    difference: Difference | None = None
    rank: RankTest | None = None
    p: float | None = None
    small: bool = False
    needed: int | None = None

    @property
    def unconfirmed(self) -> bool:
        """The interval shows a change that the corrected rank test does not confirm."""
        return self.outcome in ("lower", "higher") and self.p is not None and self.p > LEVEL


@dataclass(frozen=True)
class Side:
    """A cell on one side: its case and how its runs went; valid: those that count."""

    case: str
    valid: int
    total: int
    verdicts: dict[str, int]


@dataclass(frozen=True)
class Row:
    """One cell for one metric; a side that is None has no such cell, and `change.note` says so.

    against: which input is set against the first, its place in Comparison.inputs.
    """

    metric: str
    case: str
    factors: Factors
    base: Side | None
    test: Side | None
    change: Change
    against: int = 1


@dataclass(frozen=True)
class Input:
    """One side of the whole comparison: the letter and label it goes by, and its runs by verdict."""

    letter: str
    label: str
    runs: dict[str, int]


@dataclass(frozen=True)
class OutlierRun:
    """A run that counts, but lies far from the other runs of its cell (in robust standard deviations)."""

    letter: str
    metric: str
    case: str
    factors: Factors
    run_id: str
    value: float
    median: float
    far: float


@dataclass(frozen=True)
class Drift:
    """A metric that moves with the order of the runs within cells. p: corrected (Holm) for all that were tried."""

    letter: str
    metric: str
    rises: bool
    p: float


@dataclass(frozen=True)
class Comparison:
    """What a comparison found, ready to be printed: rows by metric, then in the order asked for.

    kind: "sets" (sources, runs not paired; inputs A, B, C...) or "cases" (the cases of one source against its
    baseline case, paired by block; two inputs, the baseline and all others). verdict: what the comparison can
    and cannot mean. differences: of the runs' columns; experiments: of what was measured, by the experiment files;
    limits: which `checks` are looser than usual or not the same on all sides, in sentences. drifts: metrics that
    move with the order of the runs. family: rank tests corrected together, by metric. included: verdicts that count
    beside valid. smallest_effect: as a share, 0 for none. calibration: what an A/A run on such a host found.
    """

    kind: Literal["sets", "cases"]
    label: str
    inputs: tuple[Input, ...]
    metrics: tuple[Column, ...]
    rows: tuple[Row, ...]
    verdict: tuple[str, ...] = ()
    differences: tuple[EnvironmentDifference, ...] = ()
    experiments: tuple[ExperimentDifference, ...] = ()
    limits: tuple[str, ...] = ()
    outliers: tuple[OutlierRun, ...] = ()
    drifts: tuple[Drift, ...] = ()
    family: dict[str, int] = field(default_factory=dict)
    included: tuple[str, ...] = ()
    smallest_effect: float = 0.0
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    calibration: tuple[str, ...] = ()
