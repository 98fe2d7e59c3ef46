"""Conditions that fail a comparison, for CI: `rtt_p99_us > +5%`, judged by the interval or by the estimate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from harness import columns
from harness.analysis.compare.model import Change, Comparison, Row
from harness.errors import InputError
from harness.stats import Interval

_CONDITION = re.compile(r"\s*([^\s<>]+)\s*(<|>)\s*([+-]?)(\d+\.?\d*|\.\d+)\s*([^\s\d.]\S*)?\s*")
_TO_US = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
_TODO = 'for example "rtt_p99_us > +5%" (change), "rtt_p99_us > +3us" (difference) or "rtt_p99_us > 100us"'

Kind = Literal["ratio", "difference", "value"]


@dataclass(frozen=True)
class Condition:
    """One condition. kind: what of a row is held against `bound`, in the metric's unit or as a share.

    A ratio's bound is the share of change: +5 % is 0.05.
    """

    text: str
    metric: str
    above: bool
    kind: Kind
    bound: float


@dataclass(frozen=True)
class Finding:
    """A condition held against a row: met, or not judged and why. value: the estimate, in the bound's terms."""

    condition: Condition
    row: Row
    met: bool
    value: float | None
    interval: Interval | None
    unjudged: str


def parse_condition(text: str) -> Condition:
    """A condition as it is typed. Raises InputError."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise InputError("read a condition", got=f"{text!r} is none", todo=_TODO, where="--fail-if")
    metric, sign, lead, digits, unit = match.groups()
    bound = float(f"{lead}{digits}")
    if lead and unit == "%":
        if bound <= -100:
            raise InputError("read a condition", got=f"{text!r}: nothing falls by 100 %", where="--fail-if")
        return Condition(text.strip(), metric, sign == ">", "ratio", bound / 100)
    factor = _unit_factor(columns.metric(metric).unit, unit or "", text)
    kind: Kind = "difference" if lead else "value"
    return Condition(text.strip(), metric, sign == ">", kind, bound * factor)


def judge(found: Comparison, condition: Condition, *, by_estimate: bool = False) -> Iterator[Finding]:
    """The condition held against every row of its metric.

    Met when it is shown: the whole 95 % interval lies beyond the bound. by_estimate: when the estimate does.
    A row without what is needed (too few runs, no such cell) is unjudged, which is not met.
    """
    for row in found.rows:
        if row.metric != condition.metric:
            continue
        value, interval = _held(row.change, condition.kind)
        if value is None or (interval is None and not by_estimate):
            why = row.change.note or "too few valid runs for an interval"
            yield Finding(condition, row, False, value, interval, why)
        elif by_estimate or interval is None:
            met = value > condition.bound if condition.above else value < condition.bound
            yield Finding(condition, row, met, value, interval, "")
        else:
            met = interval.low > condition.bound if condition.above else interval.high < condition.bound
            yield Finding(condition, row, met, value, interval, "")


def _held(change: Change, kind: Kind) -> tuple[float | None, Interval | None]:
    if kind == "value":
        return change.test.median, change.test.interval
    if kind == "difference":
        found = change.difference
        return (found.value, found.interval) if found else (None, None)
    if change.ratio is None:
        return None, None
    ends = change.ratio.interval
    shifted = Interval(ends.low - 1, ends.high - 1, ends.confidence) if ends else None
    return change.ratio.value - 1, shifted


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
