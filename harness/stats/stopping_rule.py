"""When repetitions are enough: every cell's interval is narrow enough, or the time is spent. Pure, on run records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from harness.stats.condition import SURE, Condition
from harness.stats.runs import estimate


class FinishedRun(Protocol):
    """What the rule asks of a run's record."""

    @property
    def case(self) -> str: ...
    @property
    def factors(self) -> Mapping[str, object]: ...
    @property
    def block(self) -> int: ...
    @property
    def wall_s(self) -> float | None: ...
    @property
    def verdict(self) -> str: ...
    @property
    def metrics(self) -> Mapping[str, float | int | None]: ...


@dataclass(frozen=True)
class Adaptive:
    """The rule: at least and at most so many repetitions, and what is enough in between.

    metric: a column of the runs table; width: half of the 95 % interval of its median, as a share of the
    median; budget_s: time that all runs together may take, None for any.
    """

    least: int
    most: int
    metric: str
    width: float
    budget_s: float | None = None

    @property
    def until(self) -> Condition:
        """The condition that every cell has to meet: the interval of its median is narrow enough."""
        return Condition(self.metric, "precision", high=self.width, closed=True)

    def words(self) -> str:
        """The rule as a person would say it."""
        budget = f", in {self.budget_s:g} s at most" if self.budget_s is not None else ""
        return f"until {self.metric} is {self.until.words()} in every cell{budget}"


@dataclass(frozen=True)
class State:
    """How far it is. enough: stop; reason: why, or what is still missing; widest: the widest half-interval."""

    enough: bool
    reason: str
    blocks: int
    widest: float | None


def state(rule: Adaptive, records: Iterable[FinishedRun], blocks: int) -> State:
    """What the finished runs of the first `blocks` repetitions say; other runs are ignored.

    A cell without a valid run after the least number of repetitions is not waited for: more runs of it would
    most likely be invalid as well.
    """
    here = [record for record in records if record.block <= blocks]
    spent_s = sum(record.wall_s or 0.0 for record in here)
    widths = [_half_width(values) for values in _values(rule, here)]
    widest = max(widths, default=None)
    if blocks < rule.least:
        return State(False, f"{blocks} of at least {rule.least} repetitions", blocks, widest)
    if widest is None:
        return State(True, f"no cell has a valid run with {rule.metric}", blocks, None)
    if rule.until.allows(widest):
        return State(True, f"every interval of {rule.metric} is within {_percent(widest)}", blocks, widest)
    wide = f"{rule.metric} is known within {_percent(widest)}, not {_percent(rule.width)}"
    if blocks >= rule.most:
        return State(True, f"all {rule.most} repetitions are made; {wide}", blocks, widest)
    if rule.budget_s is not None and spent_s + spent_s / max(blocks, 1) > rule.budget_s:
        return State(True, f"the budget of {rule.budget_s:g} s is spent; {wide}", blocks, widest)
    return State(False, wide, blocks, widest)


def _values(rule: Adaptive, records: Iterable[FinishedRun]) -> list[list[float]]:
    """The metric's values in the valid runs of each cell."""
    cells: dict[tuple[str, str], list[float]] = {}
    for record in records:
        values = cells.setdefault((record.case, repr(sorted(record.factors.items()))), [])
        value = record.metrics.get(rule.metric)
        if record.verdict == "valid":
            values.append(math.nan if value is None else float(value))
    return [values for values in cells.values() if not all(map(math.isnan, values))]


def _half_width(values: list[float]) -> float:
    """Half the width of the median's interval as a share of the median; infinite where the interval shows nothing."""
    median = estimate(values)
    # A tail that some runs are too short to have is not known, however alike the others are.
    if median.n < len(values) or median.interval is None or not median.median:
        return math.inf
    if median.interval.confidence < SURE:
        return math.inf
    return (median.interval.high - median.interval.low) / 2.0 / abs(median.median)


def _percent(share: float) -> str:
    return "any width" if math.isinf(share) else f"+-{100 * share:.1f} %"
