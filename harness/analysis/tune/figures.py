"""What the runs of a tuning say of a setting's columns, and what two columns' fresh blocks say of a front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.analysis.tune.certificate import MIN_STATES, two_states
from harness.analysis.tune.course import Course, aims
from harness.analysis.tune.front import FrontBelief
from harness.analysis.tune.model import Floats, noise_of
from harness.analysis.tune.race import runs_of
from harness.stats import CONFIDENCE, Estimate, Interval, estimate

_LEAST_BLOCKS = 2
_SURE, _MEDIAN = 1.96, 1.2533
"""95 % of normal values lie within so many standard deviations; so many of a mean's are one of a median's."""
_STATES = 0.1
"""Of normal runs one cell in a hundred looks like two states; more than this share is no chance."""


@dataclass(frozen=True)
class Figures:
    """A column's median over fresh blocks at one load: of the best setting and of today's."""

    load: int
    metric: str
    best: Estimate
    today: Estimate
    limit: str = ""


@dataclass(frozen=True)
class OnFront:
    """A setting and its two columns, over all loads as the goal takes them.

    fresh: of the fresh blocks alone; else of the runs that chose it, which flatter. beaten_by: a setting that is better
    in both columns by more than the tolerance, as fresh blocks show.
    """

    setting: int
    values: tuple[Estimate, Estimate]
    fresh: bool
    beaten_by: int | None = None


@dataclass(frozen=True)
class Front:
    """The settings that none beats in both columns, by the first of them, and today's setting beside them.

    recall, precision: as the model expects them, of the whole list; doubts: in words, why they are not claimed.
    """

    columns: tuple[str, str]
    listed: tuple[OnFront, ...]
    today: OnFront
    recall: float
    precision: float
    doubts: tuple[str, ...]

    @property
    def sure(self) -> bool:
        """Is the front claimed to be known as well as was asked?"""
        return not self.doubts


def metric(course: Course, setting: int, load: int, name: str, *, fresh: bool = False) -> list[float]:
    """A column's positive values in the valid runs of a setting at a load; fresh: of the confirming blocks alone."""
    cell, first = course.cells[setting, load].cell_id, course.race.first_fresh
    runs = [run for step, own in course.steps for run in own if not fresh or (first and step.round >= first)]
    records = {run.run_id: course.records.get(run.run_id) for run in runs if run.cell.cell_id == cell}
    values = [record.metrics.get(name) for record in records.values() if record and record.verdict == "valid"]
    return [float(value) for value in values if value is not None and value > 0]


@dataclass(frozen=True)
class Charted:
    """A setting's medians of two columns over all its valid runs, geometric means over loads; runs: how many."""

    setting: int
    first: float
    second: float
    runs: int


def charted(course: Course, first: str, second: str) -> list[Charted]:
    """Every setting that has both columns at every load."""
    out = []
    for at in range(len(course.tuning.settings)):
        values = [
            [metric(course, at, load, name) for load in range(len(course.tuning.loads))] for name in (first, second)
        ]
        if all(own for column in values for own in column):
            middle = [float(np.exp(np.mean([np.log(np.median(own)) for own in column]))) for column in values]
            out.append(Charted(at, *middle, runs=sum(map(len, values[0]))))
    return out


def front_of(course: Course, belief: FrontBelief) -> Front:
    """What a race for a front came to."""
    race = course.race
    fresh, before = _by_block(course, fresh=True), _by_block(course, fresh=False)
    (first, one_sign), (second, other_sign) = aims(course.tuning.section)
    noise = _noise(fresh, race.settings)

    def point(at: int) -> OnFront:
        is_fresh = len(fresh.get(at, {})) >= _LEAST_BLOCKS
        logs = np.array(list((fresh if is_fresh else before).get(at, {}).values())).reshape(-1, 2)
        values = estimate(np.exp(one_sign * logs[:, 0])), estimate(np.exp(other_sign * logs[:, 1]))
        if is_fresh:
            values = _with_noise(values[0], noise[0, at]), _with_noise(values[1], noise[1, at])
        others = [other for other in belief.listed if _beats(fresh, noise, other, at, race.question.tolerance)]
        return OnFront(at, values, is_fresh, others[0] if others else None)

    listed = tuple(sorted(map(point, belief.listed), key=lambda one: one_sign * (one.values[0].median or np.inf)))
    doubts = []
    if race.outcome != "sure":
        doubts.append("the budget was spent before enough of the front was known")
    if few := sum(not one.fresh for one in listed):
        doubts.append(f"there are too few fresh blocks of {few} of the settings")
    if wrong := sum(one.beaten_by is not None for one in listed):
        doubts.append(f"fresh blocks show that {wrong} of the settings are beaten in both")
    if _states(course, belief.listed):
        doubts.append("the settings' runs have two states, and a median of such runs says little")
    return Front((first, second), listed, point(race.question.against), belief.recall, belief.precision, tuple(doubts))


def _by_block(course: Course, *, fresh: bool) -> dict[int, dict[int, tuple[float, float]]]:
    """Setting to block to both figures over all loads, as logarithms of which less is better."""
    out: dict[int, dict[int, tuple[float, float]]] = {}
    both = (course.race.evaluations(fresh=fresh, beside=beside) for beside in (False, True))
    for (at, block, first, _), (_, _, second, _) in zip(*both, strict=True):
        out.setdefault(at, {})[block] = first, second
    return out


def _noise(fresh: Mapping[int, Mapping[int, tuple[float, float]]], settings: int) -> Floats:
    """2 x N: the variance of one block of every setting in both figures, by the fresh blocks of all of them."""
    rows = [[(at, block, pair[which]) for at, own in fresh.items() for block, pair in own.items()] for which in (0, 1)]
    return np.array([noise_of(runs_of(own), settings)[0] if own else np.full(settings, np.nan) for own in rows])


def _with_noise(value: Estimate, variance: float) -> Estimate:
    """The median with the interval that blocks of such a variance give it: so few of them have none of their own."""
    assert value.median is not None
    reach = float(np.exp(_SURE * _MEDIAN * np.sqrt(variance / value.n)))
    return replace(value, interval=Interval(value.median / reach, value.median * reach, CONFIDENCE))


def _beats(
    fresh: Mapping[int, Mapping[int, tuple[float, float]]], noise: Floats, one: int, other: int, tolerance: float
) -> bool:
    """Do fresh blocks show a setting to be better than another by more than the tolerance in both figures?"""
    mine, theirs = fresh.get(one, {}), fresh.get(other, {})
    shared = sorted(mine.keys() & theirs.keys())
    if one == other or len(shared) < _LEAST_BLOCKS:
        return False
    lead = np.mean([np.subtract(theirs[block], mine[block]) for block in shared], axis=0)
    return bool(np.all(lead - _SURE * np.sqrt((noise[:, one] + noise[:, other]) / len(shared)) > tolerance))


def _states(course: Course, listed: Sequence[int]) -> bool:
    """Do more cells of these settings look like two states than normal runs would?"""
    race, cells = course.race, []
    for at in listed:
        for load in range(race.question.loads):
            values = [run.goal for run in race.seen if run.setting == at and run.load == load]
            if len(values) >= MIN_STATES:
                cells.append(two_states(values, 2 * race.question.tolerance) is not None)
    return bool(cells) and sum(cells) > max(1.0, _STATES * len(cells))
