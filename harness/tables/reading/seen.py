"""The values of one column, and what they look like: constant, repeated, round, counting, dates."""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?|\d\d\d\d/\d\d/\d\d.*|\d\d?[./]\d\d?[./]\d{4}.*")
_EPOCHS = ((1e9, 5e9, "s"), (1e12, 5e12, "ms"), (1e15, 5e15, "us"), (1e18, 5e18, "ns"))
_MANTISSAS = (1.0, 1.2, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.5, 8.0)
_FEW = 40


class Seen:
    """A column's values; whatever is asked is worked out once, for most columns are known by their names."""

    def __init__(self, name: str, values: pd.Series) -> None:
        self.name = name
        self.values = values
        self.numeric = pd.api.types.is_numeric_dtype(values.dtype)

    @cached_property
    def _counts(self) -> pd.Series:
        values = self.values.dropna() if self.numeric else self.values[self.values != ""]
        return values.value_counts(sort=False)

    @property
    def blank(self) -> bool:
        """Is there no value at all?"""
        return not len(self._counts)

    @property
    def constant(self) -> bool:
        """Is the same value, or none, in every row?"""
        return len(self._counts) <= 1

    @property
    def distinct(self) -> int:
        """How many values there are."""
        return len(self._counts)

    @property
    def example(self) -> str:
        """The first value, as text."""
        value = self._counts.index[0] if len(self._counts) else ""
        return number_text(float(value)) if self.numeric and value != "" else str(value)

    @property
    def unique(self) -> bool:
        """Is no value there twice?"""
        return int(self._counts.max()) == 1 if len(self._counts) else False

    @property
    def repeated(self) -> bool:
        """Are the values few, and each there twice or more, as measured figures are not?"""
        return 1 < len(self._counts) <= _FEW and int(self._counts.min()) > 1

    @cached_property
    def whole(self) -> bool:
        """Are all whole numbers from 0?"""
        return self.numeric and all(value >= 0 and value == int(value) for value in self._numbers)

    @cached_property
    def round(self) -> bool:
        """Are the values few and round, as people choose them: 0, 10, 25, 50, 64, 1500?"""
        return self.numeric and 1 <= len(self._counts) <= _FEW and all(map(_is_round, self._numbers))

    @property
    def rising(self) -> bool:
        """Is every value larger than that of the row above?"""
        return (
            self.numeric and len(self.values) > 1 and bool((np.diff(self.values.to_numpy(dtype=np.float64)) > 0).all())
        )

    @cached_property
    def epoch(self) -> str:
        """The unit in which these are seconds since 1970, where they are in our times; else ""."""
        if not self.numeric or self.blank:
            return ""
        low, high = self.values.min(), self.values.max()
        return next((unit for least, most, unit in _EPOCHS if least <= low and high <= most), "")

    @cached_property
    def dated(self) -> bool:
        """Are these texts dates?"""
        return (
            not self.numeric and not self.blank and all(_ISO.match(text) for text in map(str, self._counts.index[:50]))
        )

    @property
    def _numbers(self) -> list[float]:
        return [float(value) for value in self._counts.index]

    def texts(self) -> pd.Series:
        """The values as texts, a number in its shortest form: 0 for 0.0."""
        if not self.numeric:
            codes, uniques = pd.factorize(self.values)
            shown = np.array([number_form(str(text)) for text in uniques], dtype=object)
        else:
            codes, uniques = pd.factorize(self.values)
            shown = np.array([number_text(float(value)) for value in uniques], dtype=object)
        shown = np.append(shown, "")  # a missing value has the code -1
        return pd.Series(pd.array(shown[codes], dtype="str"), index=self.values.index)

    def times(self) -> pd.Series:
        """The values as ISO 8601 in UTC; "" where they are no time."""
        if self.numeric:
            size = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}[self.epoch or "s"]
            stamps = pd.to_datetime((self.values * size).round(), unit="us", utc=True, errors="coerce")
        else:
            stamps = pd.to_datetime(self.values, utc=True, errors="coerce", format="mixed")
        texts: pd.Series = stamps.dt.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00").fillna("").astype("str")
        return texts

    def floats(self) -> npt.NDArray[np.float64]:
        """The values of a column of numbers."""
        return self.values.to_numpy(dtype=np.float64)


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
