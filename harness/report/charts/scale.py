"""The axes of charts: linear and logarithmic scales with round ticks and the words at them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

_SUFFIX = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def tick_text(value: float) -> str:
    """A tick's number, short: 0.5, 20, 1k, 2.5M."""
    for size, suffix in _SUFFIX:
        if abs(value) >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def time_text(us: float) -> str:
    """A time tick with its unit: 500 ns, 20 us, 1 ms."""
    for size, unit in ((1e6, "s"), (1e3, "ms"), (1.0, "µs")):
        if us >= size * 0.9999:
            return f"{us / size:g} {unit}"
    return f"{us * 1e3:g} ns" if us else "0 µs"


def share_text(share: float) -> str:
    """A share's tick in percent: 50 %, 0.01 %."""
    return f"{share * 100:.6f}".rstrip("0").rstrip(".") + " %"


@dataclass(frozen=True)
class Scale:
    """An axis of the values low..high; `log`: by their logarithm.

    name: what it shows, with its unit; text: of a tick; fixed: ticks instead of round ones; air: the share of the
    axis that stays free at either end; names: of the places 0, 1, 2..., where the axis is of words.
    """

    low: float
    high: float
    log: bool
    name: str = ""
    text: Callable[[float], str] = tick_text
    fixed: Sequence[float] | None = None
    air: float = 0.0
    names: Sequence[str] = ()

    @property
    def kind(self) -> Literal["time", "share", "number", "names"]:
        """What its values are: us, shares of 1, plain numbers, or places of words."""
        if self.names:
            return "names"
        return "time" if self.text is time_text else "share" if self.text is share_text else "number"

    def share(self, value: float) -> float:
        """Where a value lies on the axis, from 0 to 1; values outside low..high lie at the nearer of the two."""
        low, high, here = (self._of(number) for number in (self.low, self.high, value))
        share = (here - low) / (high - low) if high > low else 0.5
        return self.air + min(max(share, 0.0), 1.0) * (1 - 2 * self.air)

    def limits(self) -> tuple[float, float]:
        """The values at both ends of the axis, beyond the air."""
        low, high = self._of(self.low), self._of(self.high)
        spare = (high - low) * self.air / (1 - 2 * self.air)
        return (10 ** (low - spare), 10 ** (high + spare)) if self.log else (low - spare, high + spare)

    def ticks(self, most: int = 6) -> Sequence[float]:
        """The fixed ticks, else round values within the scale, at most about `most`."""
        if self.fixed is not None:
            return self.fixed
        return _log_ticks(self.low, self.high, most) if self.log else _linear_ticks(self.low, self.high, most)

    def _of(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if self.log else value


def log_scale(
    values: Iterable[float],
    name: str = "",
    text: Callable[[float], str] = time_text,
    *,
    around: float = 1.12,
    air: float = 0.0,
) -> Scale:
    """A logarithmic scale that holds all positive values with a factor `around` them, and at least half a decade."""
    positive = [value for value in values if value > 0 and math.isfinite(value)]
    low, high = (min(positive) / around, max(positive) * around) if positive else (1.0, 10.0)
    if high / low < 3.2:
        middle = math.sqrt(low * high)
        low, high = middle / 1.8, middle * 1.8
    return Scale(low, high, True, name, text, air=air)


def names_scale(names: Sequence[str], title: str) -> Scale:
    """An axis of words, evenly spaced, at the places 0, 1, 2..."""
    last = max(len(names) - 1, 1)
    places = [float(at) for at in range(len(names))]
    text = dict(zip(places, names, strict=True)).__getitem__
    return Scale(0.0, float(last), False, title, text, places, air=0.5 / (last + 1), names=names)


def linear_scale(values: Iterable[float], name: str = "", *, air: float = 0.0) -> Scale:
    """A linear scale over the values, as far as they go."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    return Scale(low, high if high > low else low + 1, False, name, air=air)


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    raw = (high - low) / max(most - 1, 1)
    size = 10 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next(size * mult for mult in (1, 2, 2.5, 5, 10) if size * mult >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [round((first + i) * step, 12) for i in range(max(count, 0))]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    for steps in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = _decades(low, high, steps, 1)
        if len(ticks) <= most:
            return ticks
    every = math.ceil(len(ticks) / most)
    return _decades(low, high, (1,), every)


def _decades(low: float, high: float, steps: tuple[float, ...], every: int) -> list[float]:
    exponents = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    values = [step * 10.0**exponent for exponent in exponents if exponent % every == 0 for step in steps]
    return [value for value in values if low * 0.9999 <= value <= high * 1.0001]
