"""What a comparison is, as values: what was asked, changes, rows, and the whole of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from harness.analysis.compare.environment import EnvironmentDifference
from harness.analysis.compare.experiments import ExperimentDifference
from harness.columns import Column
from harness.stats import Difference, Estimate, Interval, Look, RankTest, Ratio, p_together
from harness.tables.reading.account import Reading

Outcome = Literal["lower", "higher", "~", ""]
Judged = Literal["better", "worse", ""]
Sort = Literal["plan", "case", "effect", "p"]
Factors = tuple[tuple[str, str], ...]

LEVEL = 0.05
"""How often a page may claim something that is not so: of one without any true difference, all its claims together."""

DEFAULT_WIDTH = 0.05
"""What "no difference larger than" is held against when nobody named a smallest effect of interest: 5 %."""


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


class Reach(NamedTuple):
    """How many times less, and more, than it is stated a figure may be, by the accounting that it comes from."""

    less: float = 1.0
    more: float = 1.0


EXACT = Reach()


@dataclass(frozen=True)
class Change:
    """Test against base for one metric.

    outcome: what is claimed: "~" where no difference is, "" where none could be looked for (`note` says why); factor:
    how many times lower or higher, always >= 1, None without a ratio; judged: by the metric's direction; p: of the rank
    test, corrected for its family (None outside of one); needed: runs a side that would decide what is undecided.
    together: the interval that claims, of the ratio or, without one, of the difference; it holds at once with those of
    all `comparisons` that are judged together. no_larger: the share that no difference exceeds, where that is shown.
    lag: how much runs of the page resemble the ones before them, for which `together` is widened. reach: how far base
    and test may be off, where their accounting bounds the figures only. bounded: it alone keeps what the runs show from
    being claimed, so that more runs would not.
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
    needed: int | None = None
    together: Interval | None = None
    comparisons: int = 1
    no_larger: float | None = None
    lag: float = 0.0
    reach: tuple[Reach, Reach] = (EXACT, EXACT)
    bounded: bool = False
    course: tuple[Look, ...] = field(default=(), compare=False, repr=False)

    @property
    def small(self) -> bool:
        """Was it shown that there is no difference that matters?"""
        return self.no_larger is not None

    @property
    def decides(self) -> Ratio | Difference | None:
        """What the change is judged by: the ratio, where there is one."""
        return self.ratio or self.difference

    @property
    def leeway(self) -> float:
        """The factor by which test / base may be off, both ways."""
        base, test = self.reach
        return max(base.less * test.more, base.more * test.less)

    @property
    def few(self) -> bool:
        """Are the runs too few to claim anything of the difference?"""
        return self.difference is not None and self.difference.interval is None and not self.course

    @property
    def p_together(self) -> float | None:
        """The p value of the interval that claims, corrected for all comparisons (Bonferroni); None without one."""
        if self.course and self.together:
            return p_together(self.course, self.comparisons, self.lag)
        found = self.decides.contrast if self.decides and self.together else None
        return min(1.0, self.comparisons * found.widened(self.lag).p) if found else None


@dataclass(frozen=True)
class Family:
    """What is judged together: so many comparisons, which claim something false with the chance `level`.

    lag: how much their runs resemble the ones before them.
    """

    comparisons: int = 1
    level: float = LEVEL
    lag: float = 0.0

    @property
    def confidence(self) -> float:
        """That of each interval, for all to hold together."""
        return 1 - self.level / self.comparisons


ALONE = Family()


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
    """One side of the whole comparison: the letter and label it goes by, and its runs by verdict.

    made_again: attempts that noise spoilt, and in whose place these runs stand.
    """

    letter: str
    label: str
    runs: dict[str, int]
    made_again: int = 0


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
    beside valid. smallest_effect: as a share, 0 for none. calibration: what an A/A run on such a host found. level: how
    often the rows together may claim what is not so. readings: how the columns of CSV files were read. other_work: that
    the sides did not do the same work, in a sentence; it stands in `verdict` too.
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
    level: float = LEVEL
    readings: tuple[Reading, ...] = ()
    other_work: str = ""
