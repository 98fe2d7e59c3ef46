"""When repetitions are enough: cells are known well enough, or comparisons decided, or time is spent. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from harness.stats.condition import SURE, Condition
from harness.stats.looks import Look, Looks, course, together
from harness.stats.needs import reachable
from harness.stats.runs import Floats, estimate

Cell = tuple[str, str]
"""A cell by its case and, as text, its factors."""
_NONE: frozenset[Cell] = frozenset()
_SMALL = 0.05
"""What no difference is held against, where the file names no smallest effect."""
_OF_PAGE = 4
"""Metrics by which `show` compares each case; beside them, once a cell at most, what a hog makes faster."""
_HOPE = 2
"""A comparison is given up that would, by what was seen, take more than so many times the most repetitions."""


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
    verdict: instead of these two, the columns by which every case is compared with `baseline`, until each comparison is
    decided at `level`, the chance that any of them all claims what is not so; smallest: the smallest effect of
    interest, as a share, 0 for none.
    """

    least: int
    most: int
    metric: str
    width: float
    budget_s: float | None = None
    verdict: tuple[str, ...] = ()
    baseline: str = ""
    level: float = 0.05
    smallest: float = 0.0

    @cached_property
    def looks(self) -> Looks:
        """When comparisons are looked at."""
        return Looks(self.least, self.most)

    def to_json(self) -> dict[str, object]:
        """The rule as JSON data; that of widths as it always was, so that plans keep their names."""
        plain = asdict(self)
        verdict = ("verdict", "baseline", "level", "smallest")
        return plain if self.verdict else {name: value for name, value in plain.items() if name not in verdict}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Adaptive:
        """The rule that to_json() gave. Raises TypeError for anything else."""
        rule = cls(**data)  # type: ignore[arg-type]
        object.__setattr__(rule, "verdict", tuple(rule.verdict))
        return rule

    @property
    def until(self) -> Condition:
        """The condition that every cell has to meet: the interval of its median is narrow enough."""
        return Condition(self.metric, "precision", high=self.width, closed=True)

    def words(self) -> str:
        """The rule as a person would say it."""
        budget = f", in {self.budget_s:g} s at most" if self.budget_s is not None else ""
        if self.verdict:
            return f"until every comparison with {self.baseline} by {', '.join(self.verdict)} is decided{budget}"
        return f"until {self.metric} is {self.until.words()} in every cell{budget}"


@dataclass(frozen=True)
class State:
    """How far it is. enough: stop; reason: why, or what is still missing; widest: the widest half-interval.

    settled: cells that need no further repetition, where others do.
    """

    enough: bool
    reason: str
    blocks: int
    widest: float | None
    settled: frozenset[Cell] = _NONE


def state(rule: Adaptive, records: Iterable[FinishedRun], blocks: int) -> State:
    """What the finished runs of the first `blocks` repetitions say; other runs are ignored.

    A cell without a valid run after the least number of repetitions is not waited for: more runs of it would
    most likely be invalid as well.
    """
    here = [record for record in records if record.block <= blocks]
    if rule.verdict:
        return _of_verdicts(rule, here, blocks)
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
    if _over_budget(rule, spent_s, blocks):
        return State(True, f"the budget of {rule.budget_s:g} s is spent; {wide}", blocks, widest)
    return State(False, wide, blocks, widest)


def cell_of(case: str, factors: Mapping[str, object]) -> Cell:
    """The name of a cell, as `State.settled` has it."""
    return case, repr(sorted(factors.items()))


def _over_budget(rule: Adaptive, spent_s: float, blocks: int) -> bool:
    """Would another repetition as long as those before end too late?"""
    return rule.budget_s is not None and spent_s + spent_s / max(blocks, 1) > rule.budget_s


def _of_verdicts(rule: Adaptive, here: Sequence[FinishedRun], blocks: int) -> State:
    """Every comparison is decided, or cannot be with the most repetitions: then its cells need no further one."""
    if blocks < rule.least:
        return State(False, f"{blocks} of at least {rule.least} repetitions", blocks, None)
    # Between two looks nothing is decided, so that no more is looked than was allowed for.
    look = max(count for count in rule.looks.at if count <= blocks)
    cells: dict[Cell, list[FinishedRun]] = {}
    for record in here:
        if record.block <= look:
            cells.setdefault(cell_of(record.case, record.factors), []).append(record)
    pairs = [((rule.baseline, factors), (case, factors)) for case, factors in cells if case != rule.baseline]
    seen = {(*pair, metric): _course(rule, cells, pair, metric) for pair in pairs for metric in rule.verdict}
    # All that a page may claim at once, of which this may be a part: what is decided here is then decided there.
    many = _OF_PAGE * len(pairs) + len(cells)
    ends = {key: _end(rule, of_it, many) for key, of_it in seen.items() if of_it}
    undecided = {cell for (base, test, _), end in ends.items() if end == "open" for cell in (base, test)}
    counts = {kind: sum(end == kind for end in ends.values()) for kind in ("decided", "hopeless", "open")}
    text = f"{counts['decided']} of {len(ends)} comparisons are decided"
    if counts["hopeless"]:
        text += f", {counts['hopeless']} would not be with {rule.most} repetitions"
    if not ends:
        return State(True, f"no comparison has {' or '.join(rule.verdict)} of valid runs", blocks, None)
    if not undecided:
        return State(True, text, blocks, None)
    if blocks >= rule.most:
        return State(True, f"all {rule.most} repetitions are made; {text}", blocks, None)
    if _over_budget(rule, sum(record.wall_s or 0.0 for record in here), blocks):
        return State(True, f"the budget of {rule.budget_s:g} s is spent; {text}", blocks, None)
    return State(False, text, blocks, None, frozenset(cells.keys() - undecided))


def _course(
    rule: Adaptive, cells: Mapping[Cell, Sequence[FinishedRun]], pair: tuple[Cell, Cell], metric: str
) -> tuple[Look, ...]:
    sides = [_side(cells.get(cell, ()), metric) for cell in pair]
    logarithmic = all(values.size and values.min() > 0 for values, _ in sides)
    return course(sides[0], sides[1], rule.looks, logarithmic)


def _side(records: Sequence[FinishedRun], metric: str) -> tuple[Floats, Floats]:
    """The metric's values in the valid runs, and their blocks; nothing where one of them is blank."""
    runs = [(record.metrics.get(metric), record.block) for record in records if record.verdict == "valid"]
    if any(value is None for value, _ in runs):
        runs = []
    values, blocks = zip(*runs, strict=True) if runs else ((), ())
    return np.asarray(values, dtype=np.float64), np.asarray(blocks, dtype=np.float64)


def _end(rule: Adaptive, seen: Sequence[Look], comparisons: int) -> str:
    """decided; hopeless: not decided by the most repetitions either, by what was seen; or open."""
    interval, last = together(seen, rule.level, comparisons), seen[-1][1]
    assert interval is not None
    nothing, limit = (1.0, 1 + (rule.smallest or _SMALL)) if last.logarithmic else (0.0, 0.0)
    if not interval.low <= nothing <= interval.high or (limit and interval.within(1 / limit, limit)):
        return "decided"
    confidence = 1 - rule.looks.share(rule.most) * rule.level / comparisons
    return "open" if reachable(last, rule.most * _HOPE, confidence, rule.smallest or _SMALL) else "hopeless"


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
