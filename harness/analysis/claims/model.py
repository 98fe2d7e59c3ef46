"""What became of a claim, as values: its verdict, its conditions, and the comparisons they rest on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from harness.analysis.compare import Change, Factors
from harness.spec.claims import Claim, Expect
from harness.stats import Estimate
from harness.stats.condition import Judgement

Outcome = Literal["holds", "does not hold here", "reversed", "not shown", "cannot be tested here"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

State = Literal[Judgement, "reversed", "untestable"]
"""A judgement of a condition; reversed: refuted, and shown to go the other way; untestable: not with this host."""


@dataclass(frozen=True)
class Observation:
    """One condition at one place: what was seen there.

    change: of the metric against the other case, None for a condition about one cell alone; value: the metric's
    estimate in the cell; why: what stands in the way of a judgement, or its reason, in words.
    """

    factors: Factors
    state: State
    change: Change | None = None
    value: Estimate | None = None
    why: str = ""


@dataclass(frozen=True)
class ConditionResult:
    """A condition and every comparison that it asks for; they must all be met."""

    expect: Expect
    against: str
    observations: tuple[Observation, ...]

    @property
    def state(self) -> State:
        """The state of all comparisons together: the worst news decides, and doubt before success."""
        states = [observation.state for observation in self.observations]
        for state in ("untestable", "reversed", "refuted", "unclear"):
            if state in states:
                # What is reversed in one place and met in another is not reversed: it depends.
                return "refuted" if state == "reversed" and "met" in states else state
        return "met"


@dataclass(frozen=True)
class ShownMetric:
    """A metric shown beside a verdict: (case, factors that tell the cell apart, median) of each cell compared."""

    metric: str
    medians: tuple[tuple[str, Factors, float | None], ...]


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim with its verdict.

    deciding: the comparison that kept it from holding, or from being tested; reason: what else did, in words: what this
    host lacks, verdicts that flip between reruns. shown: why it is so.
    """

    name: str
    claim: Claim
    outcome: Outcome
    conditions: tuple[ConditionResult, ...] = ()
    reason: str = ""
    deciding: tuple[ConditionResult, Observation] | None = None
    shown: tuple[ShownMetric, ...] = ()
