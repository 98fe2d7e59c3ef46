"""The one language of conditions: what claims, `--fail-if` and `repeat: until` demand of a metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.stats.runs import Interval

Quantity = Literal["level", "ratio", "difference", "precision"]
Judgement = Literal["met", "refuted", "unclear"]

SURE = 0.9
"""The least confidence of an interval that shows anything: that of five runs is 0.94, that of four 0.88."""


@dataclass(frozen=True)
class Condition:
    """A quantity of a metric that must lie above `low` and below `high`; `closed`: the ends are allowed too.

    quantity: "level", the median in the metric's unit; "ratio", test / base; "difference", test - base in the
    metric's unit; "precision", half of the median's interval as a share of the median.
    """

    metric: str
    quantity: Quantity
    low: float | None = None
    high: float | None = None
    closed: bool = False

    def allows(self, value: float) -> bool:
        """Does a single value meet the condition?"""
        return self._above_low(value) and self._below_high(value)

    def judge(self, interval: Interval | None) -> Judgement:
        """met: all of the interval meets the condition; refuted: none of it does; unclear: anything else.

        No interval, or one with less confidence than SURE, shows neither.
        """
        if interval is None or interval.confidence < SURE:
            return "unclear"
        if self._above_low(interval.low) and self._below_high(interval.high):
            return "met"
        meets_somewhere = self._above_low(interval.high) and self._below_high(interval.low)
        return "unclear" if meets_somewhere else "refuted"

    def words(self, unit: str = "", than: str = "") -> str:
        """The condition as a person would say it: "above 90 %", "lower than base by 5 % or more".

        unit: of the metric; than: what a ratio compares with.
        """
        if self.quantity == "precision":
            return f"known within +-{100 * (self.high or 0.0):g} %"
        if self.quantity != "ratio":
            bound = f"below {self.high:g}" if self.high is not None else f"above {self.low:g}"
            return f"{bound} {unit}".rstrip()
        factor = self.high if self.high is not None else self.low or 1.0
        factor = factor if factor >= 1 else 1 / factor
        size = f"{100 * (factor - 1):g} %"
        if not self.closed:
            return f"{'lower' if self.low is None else 'higher'} than {than} by {size} or more"
        relation = "no lower than" if self.high is None else "no higher than" if self.low is None else "the same as"
        return f"{relation} {than} within {size}"

    def _above_low(self, value: float) -> bool:
        return self.low is None or value > self.low or (self.closed and value == self.low)

    def _below_high(self, value: float) -> bool:
        return self.high is None or value < self.high or (self.closed and value == self.high)
