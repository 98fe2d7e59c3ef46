"""Histories judged together: in which the level changes, with one stated chance of being wrong for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness import columns
from harness.analysis.compare.change import Floats, measured
from harness.analysis.compare.model import LEVEL, Change
from harness.analysis.trend.gather import Asked, Member, histories
from harness.analysis.trend.model import History, Shift, Trend
from harness.errors import InputError
from harness.stats import Interval, breaks

CONFIDENCE = 1 - LEVEL
MOST_SETS = 250
"""The newest sets of a history that are looked at: how long their random orders take grows with the square."""

MOST_HISTORIES = int(LEVEL * (breaks.DRAWS + 1))
"""Of more, no p value could be small enough."""


def trend(members: Sequence[Member], asked: Asked) -> Trend:
    """The histories of these sets, and every change of level that is claimed.

    Of histories without any change, one is claimed in any of them with the chance LEVEL (Holm over the histories that
    are long enough for a claim at all). Raises InputError.
    """
    made, common, notes = histories(members, asked)
    if len(made) > MOST_HISTORIES:
        got = f"there are {len(made)} histories, and {MOST_HISTORIES} at most can be judged together"
        raise InputError("judge histories", got=got, todo="choose some by --metric or --filter")
    notes += [f"of longer histories the newest {MOST_SETS} sets"] * any(len(one.moments) > MOST_SETS for one in made)
    made = [replace(history, moments=history.moments[-MOST_SETS:]) for history in made]
    series = [np.array([moment.value for moment in history.moments]) for history in made]
    judged = _long_enough([values.size for values in series])
    # Cells of a set share its day: what one of them has left beside its levels, all may have.
    lag = breaks.resemblance([series[at] for at in judged], LEVEL)
    levels = _levels({at: breaks.jump_p(series[at], lag) for at in judged})
    changed = {at: _shifts(made[at], series[at], level, lag) for at, level in levels.items()}
    return Trend(
        histories=tuple(replace(history, shifts=tuple(changed.get(at, ()))) for at, history in enumerate(made)),
        level=LEVEL,
        lag=lag,
        judged=len(judged),
        least=least_sets(max(1, len(judged))),
        label=asked.label,
        common=common,
        notes=tuple(notes),
    )


def least_sets(count: int) -> int:
    """How many sets a history needs, of so many that are judged together, to claim anything."""
    sets = 2 * breaks.MIN_SIDE
    while breaks.least_p(sets) > LEVEL / count and sets < MOST_SETS:
        sets += 1
    return sets


def _long_enough(sizes: Sequence[int]) -> list[int]:
    """The histories that may claim something beside each other: those of the longest ones for which that holds."""
    for count in range(len(sizes), 0, -1):
        least = least_sets(count)
        long = [at for at, size in enumerate(sizes) if size >= least]
        if len(long) >= count:
            return long
    return []


def _levels(ps: dict[int, float]) -> dict[int, float]:
    """The histories that change at all (Holm), each with the level at which that is shown."""
    levels: dict[int, float] = {}
    for place, at in enumerate(sorted(ps, key=lambda at: ps[at])):
        if ps[at] > (level := LEVEL / (len(ps) - place)):
            break
        levels[at] = level
    return levels


def _shifts(history: History, values: Floats, level: float, lag: float) -> list[Shift]:
    jumps = breaks.jumps(values, level, lag)
    edges = [0, *(jump.at for jump in jumps), values.size]
    shifts = []
    for jump, before, after in zip(jumps, edges, edges[2:], strict=False):
        moved = measured(history.metric, values[before : jump.at], values[jump.at : after])
        shifts.append(Shift(jump.at, jump.earliest, jump.latest, jump.p, *_sized(history.metric, moved, lag)))
    return shifts


def _sized(metric: str, moved: Change, lag: float) -> tuple[Change, Interval | None]:
    """The change with its direction, which is claimed, and the interval of its size."""
    decides = moved.decides
    if decides is None:
        return moved, None
    higher = decides.value > (1.0 if moved.ratio else 0.0)
    direction = columns.metric(metric).better
    outcome = "higher" if higher else "lower"
    judged = "" if not direction else "better" if direction == outcome else "worse"
    contrast = decides.contrast.widened(lag) if decides.contrast else None
    interval = contrast.interval(CONFIDENCE) if contrast else None
    return replace(moved, outcome=outcome, judged=judged), interval
