"""From values to places on the paper: linear and logarithmic scales with round ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_SUFFIX = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Scale:
    """Values low..high onto pixels start..stop; `log` by their logarithm."""

    low: float
    high: float
    start: float
    stop: float
    log: bool

    def at(self, value: float) -> float:
        """The pixel of a value; values outside land on the edge."""
        low, high, here = (self._of(number) for number in (self.low, self.high, value))
        share = (here - low) / (high - low) if high > low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.stop - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values within the scale, at most about `most`."""
        return _log_ticks(self.low, self.high, most) if self.log else _linear_ticks(self.low, self.high, most)

    def _of(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if self.log else value


def log_scale(values: Iterable[float], start: float, stop: float, *, around: float = 1.12) -> Scale:
    """A logarithmic scale that holds all positive values, with a little air, and at least half a decade."""
    found = [value for value in values if value > 0 and math.isfinite(value)]
    low, high = (min(found) / around, max(found) * around) if found else (1.0, 10.0)
    if high / low < 3.2:
        middle = math.sqrt(low * high)
        low, high = middle / 1.8, middle * 1.8
    return Scale(low, high, start, stop, True)


def linear_scale(values: Iterable[float], start: float, stop: float) -> Scale:
    """A linear scale over the values, as far as they go."""
    found = [value for value in values if math.isfinite(value)]
    low, high = (min(found), max(found)) if found else (0.0, 1.0)
    return Scale(low, high if high > low else low + 1, start, stop, False)


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
    return f"{us * 1e3:g} ns"


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    raw = (high - low) / max(most - 1, 1)
    size = 10 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next(size * mult for mult in (1, 2, 2.5, 5, 10) if size * mult >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [round((first + i) * step, 12) for i in range(max(count, 0))]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    for steps in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        found = _decades(low, high, steps, 1)
        if len(found) <= most:
            return found
    every = math.ceil(len(found) / most)
    return _decades(low, high, (1,), every)


def _decades(low: float, high: float, steps: tuple[float, ...], every: int) -> list[float]:
    exponents = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    values = [step * 10.0**exponent for exponent in exponents if exponent % every == 0 for step in steps]
    return [value for value in values if low * 0.9999 <= value <= high * 1.0001]
