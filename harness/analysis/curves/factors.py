"""Factors as axes: which were swept as numbers, in which unit, and which of them stands for load or contention."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.analysis.compare import Factors
from harness.analysis.summary import CellView

_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z%µ/]*)")
# One quantity each: the unit that an axis shows, and how much of it every way to write it is.
_UNITS = {
    "us": {"ns": 1e-3, "us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6, "min": 6e7},
    "%": {"%": 1.0},
    "bit/s": {"bit": 1.0, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9, "tbit": 1e12},
    "bytes": {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3},
    "": {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "/s": 1.0, "rps": 1.0},
}
_RATES = ("rate", "qps", "rps", "offered")
_LOAD = ("rate", "load", "qps", "rps", "offered", "depth", "clients", "connections", "sockets", "threads")


@dataclass(frozen=True)
class NumericFactor:
    """A factor whose values are all numbers of one unit: its name, unit, and number by value as written."""

    name: str
    unit: str
    numbers: dict[str, float]

    @property
    def load_like(self) -> bool:
        """Is it a load, a rate or a number of clients, by its name?"""
        return short_name(self.name).lower() in _LOAD

    @property
    def axis_name(self) -> str:
        """The name at an axis, with its unit: that of a bare rate is requests per second."""
        name = short_name(self.name)
        unit = self.unit.replace("us", "µs") or ("1/s" if name.lower() in _RATES else "")
        return f"{name}, {unit}" if unit else name


def quantity(text: str) -> tuple[float, str] | None:
    """A factor's value as a number and the unit it is in; None for anything else."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    for unit, ways in _UNITS.items():
        if match[2] in ways:
            return float(match[1]) * ways[match[2]], unit
    return None


def levels(views: Iterable[CellView]) -> dict[str, list[str]]:
    """Every factor with its values in the plan's order."""
    by_factor: dict[str, list[str]] = {}
    for view in views:
        for name, value in view.factors:
            values = by_factor.setdefault(name, [])
            if value not in values:
                values.append(value)
    return by_factor


def axes(views: Sequence[CellView], least: int) -> list[NumericFactor]:
    """The factors that make an axis of at least `least` values, those that stand for load first."""
    numeric = []
    for name, values in levels(views).items():
        numbers = {value: quantity(value) for value in values}
        units = {number[1] for number in numbers.values() if number}
        # A bare 0 is zero of any unit.
        units = units - {""} if len(units) == 2 and numbers.get("0") else units
        if len(values) < least or len(units) != 1 or None in numbers.values():
            continue
        numeric.append(
            NumericFactor(name, units.pop(), {value: number[0] for value, number in numbers.items() if number})
        )
    return sorted(numeric, key=lambda axis: not axis.load_like)


def without(factors: Factors, *names: str) -> Factors:
    """The factors without those of these names, in the same order."""
    return tuple(pair for pair in factors if pair[0] not in names)


def short_name(name: str) -> str:
    """The last part of a dotted key, which is what people call it: `load` of contention.load."""
    return name.rpartition(".")[2]
