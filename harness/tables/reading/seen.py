"""The values of one column, and what they look like: constant, repeated, round, counting, dates."""

from __future__ import annotations

import math
import re
from functools import cached_property

import numpy as np

from harness.tables.columnar import Column, Floats, Numbers, Texts

_ISO = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?|\d\d\d\d/\d\d/\d\d.*|\d\d?[./]\d\d?[./]\d{4}.*"
    r"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}"
)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d(?:[.,]\d+)?))?(?: ?([AaPp])\.?[Mm]\.?)?")
_EPOCHS = ((1e9, 5e9, "s"), (1e12, 5e12, "ms"), (1e15, 5e15, "us"), (1e18, 5e18, "ns"))
_MANTISSAS = (1.0, 1.2, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.5, 8.0)
_FEW = 40


class Seen:
    """A column's values; whatever is asked is worked out once, for most columns are known by their names."""

    def __init__(self, name: str, column: Column) -> None:
        self.name = name
        self.column = column
        self.numeric = column.numeric

    @cached_property
    def values(self) -> list[str] | list[float]:
        """The distinct values that are not blank, as they are met."""
        if isinstance(self.column, Numbers):
            return self.column.distinct()
        return [text for text in self.column.distinct() if text]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.column)

    @property
    def blank(self) -> bool:
        """Is there no value at all?"""
        return not self.values

    @property
    def constant(self) -> bool:
        """Is the same value, or none, in every row?"""
        return len(self.values) <= 1

    @property
    def distinct(self) -> int:
        """How many values there are."""
        return len(self.values)

    @property
    def example(self) -> str:
        """The first value, as text."""
        return _text(self.values[0]) if self.values else ""

    @property
    def unique(self) -> bool:
        """Is no value there twice?"""
        return bool(self.values) and self.distinct == int((~self.column.blank()).sum())

    @property
    def repeated(self) -> bool:
        """Are the values few, and each there twice or more, as measured figures are not?"""
        if not 1 < self.distinct <= _FEW:
            return False
        counts = zip(self.column.distinct(), self.column.counts().tolist(), strict=True)
        return all(count > 1 for value, count in counts if value != "")

    @property
    def words(self) -> set[str]:
        """The texts in small letters, "" among them where a row is blank."""
        return {str(value).lower() for value in self.column.distinct()}

    @cached_property
    def whole(self) -> bool:
        """Are all whole numbers from 0?"""
        values = self.floats()[~self.column.blank()] if self.numeric else np.empty(0)
        return self.numeric and bool(((values >= 0) & (values == np.floor(values)) & np.isfinite(values)).all())

    @cached_property
    def round(self) -> bool:
        """Are the values few and round, as people choose them: 0, 10, 25, 50, 64, 1500?"""
        return self.numeric and 1 <= self.distinct <= _FEW and all(_is_round(float(value)) for value in self.values)

    @property
    def rising(self) -> bool:
        """Is every value larger than that of the row above?"""
        return self.numeric and self.rows > 1 and bool((np.diff(self.floats()) > 0).all())

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest number; NaN where there is none."""
        values = self.floats()[~self.column.blank()]
        return (float(values.min()), float(values.max())) if values.size else (math.nan, math.nan)

    @cached_property
    def epoch(self) -> str:
        """The unit in which these are seconds since 1970, where they are in our times; else ""."""
        if not self.numeric or self.blank:
            return ""
        low, high = self.ends
        return next((unit for least, most, unit in _EPOCHS if least <= low and high <= most), "")

    @cached_property
    def dated(self) -> bool:
        """Are these texts dates?"""
        return not self.numeric and not self.blank and all(_ISO.match(str(text)) for text in self.values[:50])

    @cached_property
    def clock(self) -> list[float]:
        """The seconds since midnight of the distinct values, where they are times of day without a date; else none."""
        parts = [] if self.numeric else [_CLOCK.fullmatch(str(text).strip()) for text in self.values]
        return [_of_day(match) for match in parts if match] if all(parts) else []

    @property
    def passes(self) -> bool:
        """Do these times of day go on from row to row, without a midnight and without one that is missing?"""
        codes = self.column.codes
        return bool((np.diff(codes) >= 0).all() and (np.diff(self.clock) > 0).all() and not self.column.blank().any())

    def texts(self) -> Texts:
        """The values as texts, a number in its shortest form: 0 for 0.0."""
        if isinstance(self.column, Texts):
            return self.column.mapped(number_form)
        return Texts(self.column.codes, [number_text(value) for value in self.column.names]).mapped(str)

    def times(self) -> Texts:
        """The values as ISO 8601 in UTC; "" where they are no time."""
        # Imported here: few tables have times in a form of their own.
        import pandas as pd

        values = pd.Series(self.column.series())
        if self.numeric:
            size = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}[self.epoch or "s"]
            stamps = pd.to_datetime((values * size).round(), unit="us", utc=True, errors="coerce")
        else:
            stamps = pd.to_datetime(values, utc=True, errors="coerce", format="mixed")
        return Texts.of(stamps.dt.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00").fillna("").tolist())

    def floats(self) -> Floats:
        """The values of a column of numbers."""
        assert isinstance(self.column, Numbers)
        return self.column.values


def _of_day(match: re.Match[str]) -> float:
    hours, minutes, seconds, half = match.groups()
    hour = int(hours) % 12 + (12 if half in "Pp" else 0) if half else int(hours)
    return 3600.0 * hour + 60 * int(minutes) + float((seconds or "0").replace(",", "."))


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else number_text(value)


def number_text(value: float) -> str:
    """A number in its shortest form: 0, 50, 0.5."""
    return "" if value != value else f"{value:.15g}"


def number_form(text: str) -> str:
    """The text of a factor's value: 0 for 0.0, but 6.10 as it is, for it may be a version."""
    return text.rstrip("0").removesuffix(".") if re.fullmatch(r"-?\d+\.0+", text) else text


def _is_round(value: float) -> bool:
    """0, a power of two, or one of a few leading digits and a power of ten."""
    value = abs(value)
    if value == 0:
        return True
    lead = value / 10 ** np.floor(np.log10(value))
    power = np.log2(value)
    return any(abs(lead - known) < 1e-9 for known in _MANTISSAS) or (value >= 4 and abs(power - round(power)) < 1e-12)
