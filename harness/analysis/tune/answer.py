"""The answer of a tuning: best setting, how sure, why, what was not told apart, and what the fresh blocks showed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from harness.analysis.tune.certificate import Certificate, Fresh, States, certify, two_states
from harness.analysis.tune.course import Course, is_ordered
from harness.analysis.tune.figures import Figures, Front, OnFront, front_of, metric
from harness.analysis.tune.front import FrontBelief, FrontRace
from harness.analysis.tune.model import fit
from harness.analysis.tune.race import Belief, runs_of
from harness.stats import estimate

COUNTERS = (
    "server_voluntary_per_request",
    "server_polled_percent",
    "client_polled_percent",
    "interrupts_per_request",
    "cpu_us_per_request",
)
"""Columns that tell by which way a setting acts."""
_DRAWS, _REACH = 1000, 90.0


@dataclass(frozen=True)
class KnobEffect:
    """By which factor the goal changes where the best setting has another value of one knob, as the model has it.

    left: why the setting with that value left the race, "" if it did not.
    """

    knob: str
    value: str
    other: str
    factor: float
    low: float
    high: float
    left: str = ""


@dataclass(frozen=True)
class Answer:
    """What a tuning came to; settings by number. best is None where no setting keeps the limits.

    ruled_out: why settings left, with how many; alike: measured settings that may be as good; cheapest, simplest:
    among these; edges: knobs whose best value is the last of the range that was given; at_times: by setting and
    load, runs with two states, the better of which beats the best; front: of two columns, where that was asked for in
    place of one best.
    """

    best: int | None
    outcome: str
    certificate: Certificate | None
    figures: tuple[Figures, ...]
    alike: tuple[int, ...]
    cheapest: int | None
    simplest: int | None
    effects: tuple[KnobEffect, ...]
    ruled_out: dict[str, int]
    edges: tuple[str, ...]
    counters: tuple[Figures, ...]
    chance_left: dict[int, float]
    at_times: dict[tuple[int, int], States] = field(default_factory=dict)
    front: Front | None = None

    @property
    def sure(self) -> bool:
        """Is anything claimed: a best setting, or a front?"""
        return self.front.sure if self.front else self.certificate is not None and self.certificate.sure

    @property
    def against_today(self) -> Fresh | None:
        """The best setting against today's; None where today's is the best, or too little was measured."""
        fresh = self.certificate.fresh if self.certificate else ()
        return next((one for one in fresh if one.other == 0), None)


def answer(course: Course) -> Answer:
    """The answer of a course that has ended."""
    race = course.race
    belief = race.belief
    front = front_of(course, belief) if isinstance(belief, FrontBelief) and belief.listed else None
    certificate = None if isinstance(race, FrontRace) else certify(race)
    ruled_out = Counter(reason.split(":")[0] for reason in race.out.values())
    best = certificate.leader if certificate else None
    if best is None or belief is None:
        outcome = race.outcome or "budget"
        chances = {} if belief is None else _chances(belief)
        return Answer(None, outcome, certificate, (), (), None, None, (), dict(ruled_out), (), (), chances, front=front)
    close = _alike(course, belief, best)
    return Answer(
        best,
        race.outcome,
        certificate,
        _figures(course, best),
        tuple(close),
        _cheapest(course, [best, *close], best),
        min([best, *close], key=lambda at: (_set_knobs(course, at), close.index(at) if at in close else -1)),
        tuple(_effects(course, best)),
        dict(ruled_out),
        tuple(_edges(course, best)),
        tuple(_counters(course, best)),
        _chances(belief),
        _at_times(course, belief, best),
    )


def _chances(belief: Belief) -> dict[int, float]:
    """Settings that may still be the best, and how likely."""
    order = np.argsort(-belief.best, kind="stable").tolist()
    return {at: float(belief.best[at]) for at in order if belief.best[at] > 0.01}


def _alike(course: Course, belief: Belief, best: int) -> list[int]:
    """Measured settings within the limits that are more likely than not within the tolerance of the best."""
    race = course.race
    close = [
        at
        for at in np.flatnonzero(belief.counts).tolist()
        if at != best
        and at not in race.out
        and belief.over[at] <= race.question.tolerance / 2
        and belief.mean[at] - belief.mean[best] <= race.question.tolerance
    ]
    return sorted(close, key=lambda at: float(belief.mean[at]))


def _at_times(course: Course, belief: Belief, best: int) -> dict[tuple[int, int], States]:
    """By setting and load, within the limits: better than the best by more than the tolerance in some runs, not all."""
    race, out = course.race, {}
    goals: dict[tuple[int, int], list[float]] = {}
    for run in race.seen:
        goals.setdefault((run.setting, run.load), []).append(run.goal)
    for (at, load), own in sorted(goals.items()):
        if at == best or at in race.out or belief.over[at] > race.question.tolerance / 2:
            continue
        states = two_states(own, 2 * race.question.tolerance)
        if states and states.low < float(np.mean(goals[best, load])) - race.question.tolerance:
            out[at, load] = states
    return out


def _cheapest(course: Course, among: list[int], best: int) -> int | None:
    """Of settings as good as the best that with the least CPU per request."""
    cost = {}
    for at in among:
        values = [
            value for load in range(len(course.tuning.loads)) for value in metric(course, at, load, cost_of(course))
        ]
        if values:
            cost[at] = float(np.median(np.log(values)))
    return min(cost, key=lambda at: cost[at]) if best in cost else None


def cost_of(course: Course) -> str:
    """The column that says what a setting costs: the second of a front, the first limited, else CPU per request."""
    limits, beside = course.tuning.section.limits, course.tuning.section.goal.beside
    return beside or next((limit.metric for limit in limits if not limit.above), "cpu_us_per_request")


def _set_knobs(course: Course, setting: int) -> int:
    """How many keys a setting sets to something that is not off."""
    levels = course.tuning.settings[setting].levels.values()
    return sum(value not in (None, 0.0, "off", "none") for value in levels)


def _figures(course: Course, best: int) -> tuple[Figures, ...]:
    section = course.tuning.section
    shown = [(section.goal.metric, ""), *((limit.metric, limit.text) for limit in section.limits)]
    return tuple(
        Figures(load, name, *(estimate(metric(course, at, load, name, fresh=True)) for at in (best, 0)), limit=text)
        for load in range(len(course.tuning.loads))
        for name, text in shown
    )


def _counters(course: Course, best: int) -> list[Figures]:
    """Counters that differ between today's setting and the best, at the first load."""
    out = []
    for name in COUNTERS:
        values = [estimate(metric(course, at, 0, name)) for at in (best, 0)]
        if values[0].median != values[1].median and name not in (
            limit.metric for limit in course.tuning.section.limits
        ):
            out.append(Figures(0, name, values[0], values[1]))
    return out


def _effects(course: Course, best: int) -> list[KnobEffect]:
    """Of every knob the step from the best setting's value to each other value, the other knobs as they are."""
    rows = course.race.evaluations()
    posterior = fit(course.race.alike, runs_of([row[:3] for row in rows]))
    draws = posterior.draws(np.random.default_rng((course.seed, 999_983)), _DRAWS)
    settings, out = course.tuning.settings, []
    sign = 1 if course.tuning.section.goal.least else -1
    mine = settings[best].choices
    for at, setting in enumerate(settings):
        differing = [key for key in setting.choices if setting.choices[key] != mine.get(key)]
        if at == best or len(differing) != 1 or not mine:
            continue
        apart = sign * (draws[:, at] - draws[:, best])
        low, high = np.percentile(apart, [(100 - _REACH) / 2, (100 + _REACH) / 2])
        key = differing[0]
        ends = (float(np.exp(value)) for value in (np.median(apart), low, high))
        left = course.race.out.get(at, "").split(":")[0]
        out.append(KnobEffect(key, str(mine[key]), str(setting.choices[key]), *ends, left=left))
    return out


def _edges(course: Course, best: int) -> list[str]:
    """Ordered knobs whose best value is the largest that was given."""
    out = []
    for key in filter(is_ordered, course.tuning.settings[0].levels):
        values = {setting.levels[key] for setting in course.tuning.settings[1:]}
        numbers = sorted(value for value in values if isinstance(value, float))
        mine = course.tuning.settings[best].levels[key]
        if len(numbers) == len(values - {None}) and len(numbers) >= 2 and mine and mine == numbers[-1]:
            out.append(f"{key} is the largest that was given")
    return out


def as_json(course: Course, result: Answer) -> dict[str, object]:
    """The whole tuning as data for tune.json: question, settings, every step, answer. The same for the same records."""
    names = [setting.name for setting in course.tuning.settings]
    section, certificate = course.tuning.section, result.certificate
    told = result.front or certificate
    return {
        "format": 1,
        "question": section.model_dump(mode="json", by_alias=True, exclude_none=True),
        "seed": course.seed,
        "loads": [dict(load) for load in course.tuning.loads],
        "settings": {one.name: one.choices for one in course.tuning.settings},
        "left_out": course.tuning.dropped,
        "longer": course.longer,
        "spread_of_pilots": [round(spread, 4) for spread in course.spreads],
        "steps": course.trail,
        "out": {names[at]: reason for at, reason in sorted(course.race.out.items())},
        "runs": len(course.records),
        "outcome": result.outcome,
        "best": None if result.best is None else names[result.best],
        "sure": result.sure,
        "doubts": list(told.doubts) if told else [],
        "risk": round(certificate.risk, 4) if certificate else None,
        "fresh": [_fresh(names, one) for one in certificate.fresh] if certificate else [],
        "alike": [names[at] for at in result.alike],
        "cheapest": None if result.cheapest is None else names[result.cheapest],
        "simplest": None if result.simplest is None else names[result.simplest],
        "may_be_best": {names[at]: round(chance, 3) for at, chance in result.chance_left.items()},
        **({"at_times": _at_times_as_json(course, result)} if result.at_times else {}),
        **({"front": _front(names, result.front)} if result.front else {}),
        "held_out": {"guessed": len(course.guesses), "right": sum(guess.right for guess in course.guesses)},
    }


def _at_times_as_json(course: Course, result: Answer) -> list[dict[str, object]]:
    """Both states in the goal's column, the better first, and the share of runs in it."""
    return [
        {
            "setting": course.tuning.settings[at].name,
            "load": load,
            **{name: round(goal_of(course, log), 6) for name, log in (("better", one.low), ("other", one.high))},
            "share": round(one.better / one.runs, 3),
        }
        for (at, load), one in result.at_times.items()
    ]


def goal_of(course: Course, value: float) -> float:
    """What the race has as a logarithm of which less is better, in the goal's column."""
    return float(np.exp(value if course.tuning.section.goal.least else -value))


def _fresh(names: list[str], one: Fresh) -> dict[str, object]:
    ratio = one.shown
    interval = ratio.interval if ratio else None
    return {
        "other": names[one.other],
        "ratio": round(ratio.value, 6) if ratio else None,
        "interval": [round(interval.low, 6), round(interval.high, 6)] if interval else None,
        "p": round(one.p, 6),
    }


def _front(names: list[str], front: Front) -> dict[str, object]:
    """The front, with what is expected of it as a whole."""

    def one(point: OnFront) -> dict[str, object]:
        values = [
            {"median": value.median, "interval": [value.interval.low, value.interval.high] if value.interval else None}
            for value in point.values
        ]
        beaten = None if point.beaten_by is None else names[point.beaten_by]
        return {
            "setting": names[point.setting],
            **dict(zip(front.columns, values, strict=True)),
            "fresh": point.fresh,
            "beaten_by": beaten,
        }

    return {
        "recall": round(front.recall, 4),
        "precision": round(front.precision, 4),
        "settings": [one(point) for point in front.listed],
        "today": one(front.today),
    }
