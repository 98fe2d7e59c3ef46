"""The quantiles of a run's round trips, carried in the footer of its samples, so that charts of many sort none anew."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

KEY = b"pollbench.quantiles.1"
"""Under what name the footer has them. The number is of GRID: another grid takes the next one."""
MILLION = 1_000_000


def _grid() -> Ints:
    body = np.arange(0, 990_000, 10_000)
    tail = MILLION - np.round(np.logspace(4, 0, 97)).astype(np.int64)
    quoted = [500_000, 900_000, 950_000, 990_000, 999_000, 999_900, MILLION]
    return np.unique(np.concatenate([body, tail, quoted])).astype(np.int64)


GRID: Ints = _grid()
"""The quantiles a distribution is drawn by, in parts per million: even in the body, even per decade in the tail."""


@dataclass(frozen=True, eq=False)
class Quantiles:
    """How many requests were answered and lost, and the round trips (ns) at the points of GRID that `known` names."""

    answered: int
    lost: int
    ns: Ints


@lru_cache(maxsize=16)
def known(count: int) -> npt.NDArray[np.bool_]:
    """At which points of GRID so many samples have a quantile: where one of them or more lies beyond, and the last."""
    points = (MILLION - GRID) * count >= MILLION
    points[-1] = count > 0
    points.flags.writeable = False
    return points


def quantiles_of(latency_ns: Ints) -> Quantiles:
    """Of round trips in any order, by nearest rank as the run tables have them; negative ones are lost requests."""
    answered = latency_ns[latency_ns >= 0]
    count = int(answered.size)
    places = np.maximum(-(-count * GRID[known(count)] // MILLION), 1) - 1
    # Only these are put in their places, which takes half the time that sorting does.
    return Quantiles(count, int(latency_ns.size) - count, np.partition(answered, places)[places])


def packed(quantiles: Quantiles) -> bytes:
    """As the footer holds them, which is text: the numbers of answers and losses and the round trips, 64 bits each."""
    values = [quantiles.answered, quantiles.lost, *quantiles.ns]
    return base64.b64encode(np.array(values, dtype="<i8").tobytes())


def unpacked(data: bytes, rows: int, least: int, greatest: int) -> Quantiles | None:
    """What a footer holds; None where it is not of a file with so many rows, from `least` to `greatest` ns.

    So whoever writes other samples under the same footer (a filter, a cut) has them sorted anew, as those of old files.
    """
    try:
        values = np.frombuffer(binascii.a2b_base64(data, strict_mode=True), dtype="<i8")
    except ValueError:
        return None
    if values.size < 2:
        return None
    answered, lost, ns = int(values[0]), int(values[1]), values[2:]
    if answered < 0 or lost < 0 or answered + lost != rows or (lost > 0) != (least < 0):
        return None
    if ns.size != np.count_nonzero(known(answered)) or bool((ns[1:] < ns[:-1]).any()):
        return None
    return Quantiles(answered, lost, ns) if not answered or int(ns[-1]) == greatest else None
