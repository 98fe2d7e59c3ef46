"""Conditions that fail a comparison, for CI: `rtt_p99_us > +5%`, judged by the interval or by the estimate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness import columns
from harness.analysis.compare.model import Change, Comparison, Row
from harness.errors import InputError
from harness.stats import Interval
from harness.stats.condition import SURE, Condition, Quantity

_GATE = re.compile(r"\s*([^\s<>]+)\s*(<|>)\s*([+-]?)(\d+\.?\d*|\.\d+)\s*([^\s\d.]\S*)?\s*")
_TO_US = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
_TODO = 'for example "rtt_p99_us > +5%" (change), "rtt_p99_us > +3us" (difference) or "rtt_p99_us > 100us"'


@dataclass(frozen=True)
class Gate:
    """A condition that fails a comparison where it is met, with its text as it was typed."""

    text: str
    condition: Condition


@dataclass(frozen=True)
class GateResult:
    """A gate held against a row: met, or not judged and why. value: the estimate, as the condition's quantity."""

    gate: Gate
    row: Row
    met: bool
    value: float | None
    interval: Interval | None
    unjudged: str


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


def judge(comparison: Comparison, gate: Gate, *, by_estimate: bool = False) -> Iterator[GateResult]:
    """The gate held against every row of its metric.

    Met when it is shown: the whole interval meets the condition. by_estimate: when the estimate does. A row without
    what is needed (too few runs, no such cell) is unjudged, which is not met.
    """
    condition = gate.condition
    for row in comparison.rows:
        if row.metric != condition.metric:
            continue
        value, interval = _measured(row.change, condition.quantity)
        unsure = interval is None or interval.confidence < SURE
        if value is None or (unsure and not by_estimate):
            few = (
                f"{row.change.test.n} valid runs are too few"
                if interval
                else "too few valid runs for an interval"
            )
            yield GateResult(gate, row, False, value, interval, row.change.note or few)
        else:
            met = condition.allows(value) if by_estimate else condition.judge(interval) == "met"
            yield GateResult(gate, row, met, value, interval, "")


def _measured(change: Change, quantity: Quantity) -> tuple[float | None, Interval | None]:
    """The quantity that a condition is about, and its interval."""
    if quantity == "level":
        return change.test.median, change.test.interval
    effect = change.ratio if quantity == "ratio" else change.difference
    return (effect.value, effect.interval) if effect else (None, None)


def _unit_factor(own: str, written: str, text: str) -> float:
    """What to multiply a bound by to have it in the metric's unit; a bare number is in it already."""
    if written in ("", own) or (own == "%" and written == "pp"):
        return 1.0
    if own in _TO_US and written in _TO_US:
        return _TO_US[written] / _TO_US[own]
    if written == "%":
        got, todo = f"{text!r}: a change has a sign", "write +5% or -5%"
    else:
        got, todo = f"{text!r}: the unit of the metric is {own or 'none'}", _TODO
    raise InputError("read a condition", got=got, todo=todo, where="--fail-if")
