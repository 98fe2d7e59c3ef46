"""Test against base as a mean with its standard error: what intervals that hold for many at once are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from harness.stats import student
from harness.stats.chain import variance_factor
from harness.stats.runs import Floats, Interval

_LARGEST_LOG = 690.0
"""Where the exponential is still a float."""


@dataclass(frozen=True)
class Contrast:
    """How far test lies from base: mean and standard error, with Student's degrees of freedom.

    Of logarithms of test / base where `logarithmic`, else of test - base in the metric's unit. series: the values it
    comes from in the order of their runs, of blocks or of either side.
    """

    mean: float
    error: float
    freedom: int
    logarithmic: bool
    series: tuple[Floats, ...] = field(default=(), compare=False, repr=False)

    @property
    def p(self) -> float:
        """The two-sided p value of there being no difference, for this comparison alone."""
        if self.error == 0:
            return 0.0 if self.mean else 1.0
        return max(0.0, 1.0 - student.within(abs(self.mean) / self.error, min(self.freedom, student.MOST_FREEDOM)))

    def widened(self, lag: float) -> Contrast:
        """The same for runs of which each correlates by `lag` with the one before; itself for 0."""
        if not lag or not self.series:
            return self
        count = min(each.size for each in self.series)
        error = self.error * math.sqrt(variance_factor(lag, count))
        freedom = max(1, math.floor(self.freedom * (1 - lag**2) / (1 + lag**2)))
        return replace(self, error=error, freedom=freedom)

    def interval(self, confidence: float) -> Interval:
        """The interval of test / base, or of test - base; of m at once 95 % hold together at 1 - 0.05 / m each."""
        reach = student.quantile(confidence, self.freedom) * self.error
        low, high = self.mean - reach, self.mean + reach
        if self.logarithmic:
            low, high = (math.exp(max(-_LARGEST_LOG, min(_LARGEST_LOG, end))) for end in (low, high))
        return Interval(low, high, confidence)


def contrast(
    base: Floats, test: Floats, *, paired: bool, logarithmic: bool, ordered: tuple[Floats, Floats] | None = None
) -> Contrast | None:
    """The contrast of two sides (Welch), or of blocks that both have; None with fewer than two values on a side.

    logarithmic: values are all positive, and what counts is their ratio. ordered: both sides sorted, where the caller
    has them so.
    """
    if min(base.size, test.size) < 2:
        return None
    if logarithmic:
        base, test = np.log(base), np.log(test)
        ordered = ordered and (np.log(ordered[0]), np.log(ordered[1]))
    series = (test - base,) if paired else (base, test)
    # Sorted, for sums depend on the order in their last digits, and the order of runs says nothing here.
    if paired:
        mean, *squares = _mean(np.sort(series[0]))
    else:
        (under, one), (over, other) = map(_mean, ordered or (np.sort(base), np.sort(test)))
        mean, squares = over - under, [one, other]
    sizes = [base.size] if paired else [base.size, test.size]
    error = math.sqrt(sum(squares))
    if not math.isfinite(mean) or not math.isfinite(error):
        return None
    return Contrast(mean, error, _freedom(squares, sizes), logarithmic, series)


def _mean(values: Floats) -> tuple[float, float]:
    """The mean, and its squared standard error: as numpy's `mean` and `var` have it, which take thrice the time."""
    mean = np.add.reduce(values) / values.size
    apart = values - mean
    apart *= apart
    return float(mean), float(np.add.reduce(apart) / (values.size - 1)) / values.size


def _freedom(squares: list[float], sizes: list[int]) -> int:
    """Welch and Satterthwaite's degrees of freedom, rounded down; for one side they are n - 1."""
    # As shares of the whole: squares of squares would leave the range of a float.
    whole = sum(squares)
    if not whole:
        return sum(sizes) - len(sizes)
    spent = sum((square / whole) ** 2 / (size - 1) for square, size in zip(squares, sizes, strict=True))
    return max(1, math.floor(1 / spent + 1e-9))
