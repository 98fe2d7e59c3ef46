"""Conditions that fail a comparison, for CI: `rtt_p99_us > +5%`, each passed, failed, undecided or not judged."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from harness import columns
from harness.analysis.compare.change import ACCOUNTING, level_off_by, off_by
from harness.analysis.compare.family import family_of
from harness.analysis.compare.model import LEVEL, Change, Comparison, Family, Row
from harness.errors import InputError
from harness.stats import Contrast, Interval
from harness.stats.condition import SURE, Condition, Judgement, Quantity

_GATE = re.compile(r"\s*([^\s<>]+)\s*(<|>)\s*([+-]?)(\d+\.?\d*|\.\d+)\s*([^\s\d.]\S*)?\s*")
_TO_US = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
_TODO = 'for example "rtt_p99_us > +5%" (change), "rtt_p99_us > +3us" (difference) or "rtt_p99_us > 100us"'


@dataclass(frozen=True)
class Gate:
    """A condition that fails a comparison where it is met, with its text as it was typed."""

    text: str
    condition: Condition


GateOutcome = Literal["failed", "undecided", "not judged", "passed"]
GATE_OUTCOMES: tuple[GateOutcome, ...] = ("failed", "undecided", "not judged", "passed")
"""From the worst to the best: a condition ends as the worst of its cells."""


@dataclass(frozen=True)
class GateResult:
    """A gate held against a row. value: the estimate, as the condition's quantity; why: what kept it from a judgement.

    row is None where the comparison has no cell at all to judge.
    """

    gate: Gate
    row: Row | None
    outcome: GateOutcome
    value: float | None
    interval: Interval | None
    why: str = ""


@dataclass(frozen=True)
class GateVerdict:
    """What a gate came to: the worst of its cells; results: one a cell and input, never empty."""

    gate: Gate
    results: tuple[GateResult, ...]

    @property
    def outcome(self) -> GateOutcome:
        """The outcome of the whole condition."""
        return min((result.outcome for result in self.results), key=GATE_OUTCOMES.index)


def parse_gate(text: str) -> Gate:
    """A condition as it is typed: `METRIC > BOUND` or `METRIC < BOUND`. Raises InputError.

    A bound with a sign is a change: +5% is a ratio of 1.05, +3us a difference; one without a sign is a level.
    """
    match = _GATE.fullmatch(text)
    if match is None:
        raise InputError("read a condition", got=f"{text!r} is none", todo=_TODO, where="--fail-if")
    metric, side, sign, digits, unit = match.groups()
    bound = float(f"{sign}{digits}")
    quantity: Quantity = "difference" if sign else "level"
    if sign and unit == "%":
        if bound <= -100:
            raise InputError("read a condition", got=f"{text!r}: nothing falls by 100 %", where="--fail-if")
        quantity, bound = "ratio", 1 + bound / 100
    else:
        bound *= _unit_factor(columns.metric(metric).unit, unit or "", text)
    low, high = (bound, None) if side == ">" else (None, bound)
    return Gate(text.strip(), Condition(metric, quantity, low, high))


def judge(comparison: Comparison, gate: Gate, *, by_estimate: bool = False) -> GateVerdict:
    """The gate held against every row of its metric.

    failed: the whole interval meets the condition; passed: none of it does; undecided: a part of it does; not judged:
    there is no such interval (too few or no valid runs, no such cell on a side), nor, where nothing is compared, a row.
    A change fails only if the interval that is corrected for the condition's cells meets the condition as well: each
    condition is one question, asked beforehand, and fails without cause with a chance of at most LEVEL, however many
    cells it has. by_estimate: the estimate alone decides between failed and passed.
    """
    rows = [row for row in comparison.rows if row.metric == gate.condition.metric]
    # A condition looks to one side: of LEVEL none need be kept for the other.
    family = family_of([row.change for row in rows], 2 * LEVEL)
    results = [_judged(row, gate, by_estimate, family) for row in rows]
    nothing = GateResult(gate, None, "not judged", None, None, "there is no cell to compare")
    return GateVerdict(gate, tuple(results) or (nothing,))


def _judged(row: Row, gate: Gate, by_estimate: bool, family: Family) -> GateResult:
    condition = gate.condition
    value, interval, contrast = _measured(row.change, condition.quantity)
    if value is None:
        why = row.change.note or "no valid run has a value"
        return GateResult(gate, row, "not judged", value, interval, why)
    if by_estimate:
        return GateResult(gate, row, "failed" if condition.allows(value) else "passed", value, interval)
    if interval is None or interval.confidence < SURE:
        few = f"{row.change.test.n} valid runs are too few" if interval else "too few valid runs for an interval"
        why = few if condition.quantity == "level" else row.change.note or few
        return GateResult(gate, row, "not judged", value, interval, why)
    outcomes: dict[Judgement, GateOutcome] = {"met": "failed", "refuted": "passed", "unclear": "undecided"}
    found = condition.judge(interval)
    if found != condition.judge(_off(row.change, condition.quantity, interval)):
        return GateResult(gate, row, "undecided", value, interval, ACCOUNTING)
    if found == "met" and contrast is not None:
        corrected = contrast.widened(family.lag).interval(family.confidence)
        corrected = _off(row.change, condition.quantity, corrected)
        if not (condition.allows(corrected.low) and condition.allows(corrected.high)):
            why = "its own interval meets it, the one corrected for the condition's cells does not"
            return GateResult(gate, row, "undecided", value, interval, why)
    return GateResult(gate, row, outcomes[found], value, interval)


def _measured(change: Change, quantity: Quantity) -> tuple[float | None, Interval | None, Contrast | None]:
    """The quantity that a condition is about, its interval, and what intervals of a change are corrected by."""
    if quantity == "level":
        return change.test.median, change.test.interval, None
    effect = change.ratio if quantity == "ratio" else change.difference
    return (effect.value, effect.interval, effect.contrast) if effect else (None, None, None)


def _off(change: Change, quantity: Quantity, interval: Interval) -> Interval:
    """The interval, widened by how far the figures that it is of may be off."""
    base, test = change.reach
    if quantity == "ratio":
        return off_by(change.leeway, interval)
    if quantity == "level":
        return level_off_by(test, interval)
    of_base, of_test = change.base.median or 0.0, change.test.median or 0.0
    low = of_test * (1 - 1 / test.less) + of_base * (base.more - 1)
    high = of_test * (test.more - 1) + of_base * (1 - 1 / base.less)
    return replace(interval, low=interval.low - low, high=interval.high + high)


def _unit_factor(own: str, written: str, text: str) -> float:
    """What to multiply a bound by to have it in the metric's unit; a bare number is in it already."""
    if written in ("", own) or (own == "%" and written == "pp"):
        return 1.0
    if own in _TO_US and written in _TO_US:
        return _TO_US[written] / _TO_US[own]
    if written == "%":
        got, todo = f"{text!r}: a change has a sign", "write +5% or -5%"
    else:
        state = "is not stated" if own == columns.UNSTATED else f"is {own or 'none'}"
        got, todo = f"{text!r}: the unit of the metric {state}", _TODO
    raise InputError("read a condition", got=got, todo=todo, where="--fail-if")
