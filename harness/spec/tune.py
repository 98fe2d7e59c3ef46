"""The `tune` section: which settings may be taken, what is wanted of the best, within which limits, and how surely."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from harness import columns
from harness.spec.checks import MetricName, metric_name
from harness.spec.section import Section
from harness.units import DurationNs, Share, parse_duration

Scalar = str | int | float | bool | None

_TERM = re.compile(r"\s*([\w.*\"-]+)\s*(==|!=|<=|>=|<|>)\s*(\"[^\"]*\"|\S+)\s*")
_LIMIT = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*([^\s\d.]\S*)?\s*")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(%?)")
_OFF = (0.0, "off", "none")


@dataclass(frozen=True)
class Limit:
    """A limit on a metric, in its unit. above: the metric must lie above it, not below."""

    text: str
    metric: str
    bound: float
    above: bool


@dataclass(frozen=True)
class Term:
    """One comparison of a condition on settings."""

    key: str
    sign: str
    value: float | str

    def holds(self, value: float | str | None) -> bool:
        """Is it so of this level? None, a key that the choice does not set, is 0, off and none."""
        if value is None or (value in _OFF and self.value in _OFF):
            value = self.value if self.value in _OFF else 0.0
        if self.sign in ("==", "!="):
            return (value == self.value) == (self.sign == "==")
        if isinstance(value, str) or isinstance(self.value, str):
            return False
        ways = {"<": value < self.value, ">": value > self.value, "<=": value <= self.value, ">=": value >= self.value}
        return ways[self.sign]


def level(value: Scalar) -> float | str | None:
    """A value as conditions and orders compare it: numbers as numbers, durations in ns, the rest as text."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None or isinstance(value, (int, float)):
        return None if value is None else float(value)
    if match := _NUMBER.fullmatch(value):
        return float(match[1]) * (-1 if value.startswith("-") else 1)
    try:
        return float(parse_duration(value))
    except ValueError:
        return value


def parse_condition(text: str) -> tuple[Term, ...]:
    """`KEY == VALUE and KEY > VALUE`. Raises ValueError."""
    terms = []
    for part in re.split(r"\s+and\s+", text.strip()):
        match = _TERM.fullmatch(part)
        if match is None:
            raise ValueError(f'"{part[:60]}" is no condition; expected e.g. "usecs == 0 and prefer == on"')
        value = level(match[3].strip('"'))
        assert value is not None
        terms.append(Term(match[1], match[2], value))
    return tuple(terms)


def parse_limit(text: str) -> Limit:
    """`METRIC <= NUMBER`, the number in the metric's unit or with a unit of time. Raises ValueError."""
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text[:60]}" is no limit; expected e.g. "cpu_us_per_request <= 120" or "missed < 1"')
    metric, sign, number, unit = match.groups()
    metric_name(metric)
    own, bound = columns.metric(metric).unit, float(number)
    if unit and unit != own:
        if unit not in columns.TO_US or own not in columns.TO_US:
            raise ValueError(f'"{text[:60]}": {metric} is in {own or "no unit"}, not in {unit}')
        bound *= columns.TO_US[unit] / columns.TO_US[own]
    return Limit(" ".join(text.split()), metric, bound, sign.startswith(">"))


def _checked_condition(text: str) -> str:
    parse_condition(text)
    return text


def _checked_limit(text: str) -> str:
    parse_limit(text)
    return text


class Goal(Section):
    """What is wanted: the least or the most of a column, over all loads of `across`."""

    least: MetricName | None = Field(None, description="column of runs.csv that is to be as low as can be")
    most: MetricName | None = Field(None, description="instead of least: column that is to be as high as can be")
    over: Literal["mean", "worst"] = Field(
        "mean", description="of several loads: the mean of the logarithms, or the worst load"
    )
    beside: MetricName | None = Field(
        None,
        description="a second column: the front of both is looked for, the settings that no other beats in both at "
        "once, and not one best; which way is better stands in columns.md",
    )
    weights: dict[str, float] | None = Field(
        None, description="with over: mean, value of the one key of `across` to its weight; 1 for those not named"
    )

    @model_validator(mode="after")
    def _one_column(self) -> Goal:
        if (self.least is None) == (self.most is None):
            raise ValueError("a goal says one of least, most")
        if self.weights and self.over == "worst":
            raise ValueError("weights go with over: mean")
        if self.beside is not None and not (columns.metric(self.beside).better and self.beside != self.metric):
            raise ValueError(f"beside: {self.beside} is no second column with a better end")
        if self.weights and (min(self.weights.values()) < 0 or not any(self.weights.values())):
            raise ValueError("weights are not negative, and not all 0")
        return self

    @property
    def metric(self) -> str:
        """The column."""
        return self.least or self.most or ""


class Tune(Section):
    """What `pollbench tune` looks for: the best of many settings, found by a race and confirmed by fresh runs."""

    space: dict[str, list[Any]] = Field(
        description="dotted key to the values it may take, as in `sweep`; every combination is a setting", min_length=1
    )
    skip: list[Annotated[str, AfterValidator(_checked_condition)]] = Field(
        [], description="conditions, each of settings that are left out: `prefer == on and usecs == 0`"
    )
    across: dict[str, list[Any]] = Field(
        {}, description="dotted key to values, as in `sweep`: loads at all of which one setting must be good"
    )
    goal: Goal = Field(description="what is wanted")
    subject: list[Annotated[str, AfterValidator(_checked_limit)]] = Field(
        [], description="limits, each at every load: `cpu_us_per_request <= 120`"
    )
    against: dict[str, Any] | None = Field(
        None, description="sections laid over the file's: today's setting, always raced; as the file is, if absent"
    )
    within: Share = Field(0.05, gt=0, lt=1, description="good enough: no setting is better by more than this")
    error: Share = Field(0.05, gt=0, le=0.5, description="chance that the answer is wrong")
    budget_ns: DurationNs | None = Field(
        None, gt=0, alias="budget", description="no step that would end after this much measuring"
    )

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The limits of `subject`."""
        return tuple(parse_limit(text) for text in self.subject)

    @property
    def skipped(self) -> tuple[tuple[Term, ...], ...]:
        """The conditions of `skip`."""
        return tuple(parse_condition(text) for text in self.skip)


def leaves(key: str, choice: Any) -> dict[str, Scalar]:
    """What one choice for a key sets: dotted key to value; {} for a choice of nothing beside joint ones."""
    if not isinstance(choice, Mapping):
        return {key: choice}
    out: dict[str, Scalar] = {}
    for name, value in choice.items():
        out |= leaves(f"{key}.{name}", value)
    return out
