"""The race of settings: which to run next, when to stop, and what fresh runs have to confirm. Decides, runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from harness.analysis.tune.model import Flags, Floats, Ints, Kernels, Posterior, Runs, fit, noise_of

Kind = Literal["pilot", "start", "race", "confirm"]
Outcome = Literal["", "sure", "budget", "nothing allowed"]

PILOT_SETTINGS, PILOT_SPREAD = 8, 0.3
"""So many settings show the noise; more than this standard deviation of the logarithm between runs is too much."""
_START_SHARE, _START_LEAST = 0.3, 20
_BATCH, _LIKELY, DRAWS = 8, 4, 400
_LEADER_RUNS, _RIVAL_RUNS, _RIVAL_CHANCE = 6, 3, 0.02
_SELECTION = 0.6  # of the error that is allowed, what choosing may use up
CONFIRM_BLOCKS = 10
OVER = "over a limit"


@dataclass(frozen=True)
class Question:
    """What is asked of a race. weights: of every load in the goal; worst: the worst load counts instead.

    within: a setting this much better would matter; error: the chance of a wrong answer; limits: how many there are.
    most_runs: no step begins beyond it. against: today's setting. most: the goal is the logarithm of an inverse.
    """

    weights: tuple[float, ...]
    worst: bool = False
    within: float = 0.05
    error: float = 0.05
    limits: int = 0
    seed: int = 1
    against: int = 0
    most_runs: int | None = None
    most: bool = False

    @property
    def tolerance(self) -> float:
        """`within` as a difference of logarithms."""
        return float(np.log1p(self.within))

    @property
    def loads(self) -> int:
        """How many loads a setting has to be good at."""
        return len(self.weights)


@dataclass(frozen=True)
class Seen:
    """One run that counts. goal: logarithm of the figure, less is better; limits: above 0 where it breaks one.

    beside: the second figure of a race for a front, as the goal is.
    """

    setting: int
    load: int
    round: int
    goal: float
    limits: tuple[float, ...] = ()
    beside: float = 0.0


@dataclass(frozen=True)
class Step:
    """Runs to be made before the next decision: these settings at these loads, as one shuffled block.

    number: of the step, from 1; round: which repetition it is, several steps may be parts of one.
    """

    number: int
    kind: Kind
    round: int
    settings: tuple[int, ...]
    loads: tuple[int, ...]

    @property
    def runs(self) -> int:
        """How many runs it takes."""
        return len(self.settings) * len(self.loads)


@dataclass
class Belief:
    """What the race believes after a step. risk: the chance that the leader is not the answer; best: that one is best.

    threat: the chance that a setting is the one that makes the leader wrong: it is better by more than the tolerance.
    """

    leader: int | None
    risk: float
    best: Floats
    mean: Floats
    sd: Floats
    over: Floats
    counts: Ints
    threat: Floats = field(default_factory=lambda: np.empty(0))


@dataclass
class Race:
    """Steps are asked for by `step` and answered by `take`, in turn; the same answers give the same steps.

    out: settings that left, and why; number: of the last step; confirmed: the settings of the fresh blocks, the leader
    first, and first_fresh the first of these; first_round: how many blocks there were before; spent: the budget
    has no room for another step; exhausted: nor for fresh blocks. floors: (steps, block) of
    every time that the race had ended and was taken up again: later steps have later blocks, for an old block is over.
    owed: the settings of blocks that come whatever they show, since who is chosen has too few runs.
    """

    question: Question
    alike: Kernels
    seen: list[Seen] = field(default_factory=list)
    out: dict[int, str] = field(default_factory=dict)
    number: int = 0
    round: int = 0
    runs: int = 0
    outcome: Outcome = ""
    belief: Belief | None = None
    confirmed: tuple[int, ...] = ()
    first_fresh: int = 0
    first_round: int = 0
    number_after_pilot: int = 0
    spent: bool = False
    exhausted: bool = False
    floors: tuple[tuple[int, int], ...] = ()
    owed: tuple[tuple[int, ...], ...] = ()
    _started: list[int] = field(default_factory=list)
    _begun: bool = False
    _load: int = 0

    @property
    def fresh_blocks(self) -> int:
        """How many blocks confirm."""
        return CONFIRM_BLOCKS

    @property
    def settings(self) -> int:
        """How many settings take part."""
        return self.alike.count

    def pilot(self) -> Step:
        """The runs that show the noise: a few settings at every load, twice or more."""
        rng = self._rng(0)
        others = [at for at in rng.permutation(self.settings).tolist() if at != self.question.against]
        chosen = [self.question.against, *others[: PILOT_SETTINGS - 1]]
        self._advance()
        return self._step("pilot", sorted(chosen), range(self.question.loads))

    @property
    def piloted(self) -> bool:
        """Has the pilot had all its rounds?"""
        return self.round - self.first_round >= (2 if self.question.loads > 1 else 3)

    def spread(self) -> float:
        """Standard deviation of the goal's logarithm between runs of a setting at a load, less what blocks share."""
        parts, freedom = 0.0, 0
        for load in range(self.question.loads):
            here = [run for run in self.seen if run.load == load]
            if len(here) > 3:
                own = runs_of([(run.setting, run.round, run.goal) for run in here])
                counts = own.counts(self.settings)
                degrees = int(np.maximum(counts - 1, 0).sum())
                parts += noise_of(own, self.settings)[1] * degrees
                freedom += degrees
        return float(np.sqrt(parts / freedom)) if freedom else float("nan")

    def take(self, seen: Iterable[Seen], out: Mapping[int, str] | None = None) -> None:
        """The runs of the last step that count; out: settings that leave the race, and why."""
        self.seen.extend(seen)
        for setting, reason in (out or {}).items():
            self.out.setdefault(setting, reason)

    def step(self) -> Step | None:
        """What to run next; None when there is nothing more, and `outcome` says why."""
        if self.confirmed:
            if self.round - self.first_fresh + 1 >= self.fresh_blocks:
                return None
            self._advance()
            return self._step("confirm", self.confirmed, range(self.question.loads))
        if (not self._begun or self._load) and not self.is_spent():
            step = self._start()
            if step is not None:
                return step
        if self.owed and not self.is_spent():
            return self._pay()
        self.belief = belief = self._believe()
        return self._decide(belief)

    def _start(self) -> Step | None:
        """A random share of the settings at one load after the other; who breaks a limit by far is not run on."""
        loads = self.question.loads
        if not self._begun:
            self._begun = True
            self._advance()
            rng = self._rng(1)
            count = max(_START_LEAST, round(_START_SHARE * self.settings))
            known = {run.setting for run in self.seen}
            rest = [at for at in rng.permutation(self.settings).tolist() if at not in known and at not in self.out]
            self._started = rest[: max(0, count - len(known))]
        elif self._load < loads:
            self._screen(self._load - 1)
        left = [at for at in self._started if at not in self.out]
        if self._load >= loads or not left:
            self._load = 0
            return None
        step = self._step("start", left, [self._load])
        self._load += 1
        return step

    def _screen(self, load: int) -> None:
        """Settings that broke a limit at this load by more than noise can explain are out."""
        for limit in range(self.question.limits):
            here = [run for run in self.seen if run.load == load]
            if not here:
                continue
            noise = noise_of(runs_of([(run.setting, run.round, run.limits[limit]) for run in here]), self.settings)[1]
            far = 4 * max(0.02, min(0.1, float(np.sqrt(noise)))) + self.question.tolerance
            for run in here:
                if run.setting != self.question.against and run.limits[limit] > far:
                    self.out.setdefault(run.setting, OVER)

    def is_spent(self) -> bool:
        """Has the budget no room for another step?"""
        most = self.question.most_runs
        return self.spent or (most is not None and self.runs >= most)

    def _owe(self, lacking: Mapping[int, int]) -> Step:
        """The first of blocks in which settings get the runs that they lack, whatever these show; by number of runs."""
        blocks = range(max(lacking.values()))
        self.owed = tuple(tuple(sorted(at for at, more in lacking.items() if more > block)) for block in blocks)
        return self._pay()

    def _pay(self) -> Step:
        """The next of the blocks that are owed."""
        settings, self.owed = self.owed[0], self.owed[1:]
        self._advance()
        return self._step("race", settings, range(self.question.loads))

    def _decide(self, belief: Belief) -> Step | None:
        question, counts, spent = self.question, belief.counts, self.is_spent()
        leader = belief.leader
        if leader is None and (spent or not belief.best.any()):
            self.outcome = "budget" if spent else "nothing allowed"
            return None
        if leader is not None and self.settled(belief):
            thin = np.flatnonzero((belief.best > _RIVAL_CHANCE) & (counts < _RIVAL_RUNS)).tolist()
            lacking = {at: _RIVAL_RUNS - int(counts[at]) for at in thin[:_BATCH]}
            lacking[leader] = max([0, _LEADER_RUNS - int(counts[leader]), *lacking.values()])
            if not lacking[leader]:
                self.outcome = "sure"
                return self._confirm(leader, belief)
            if not spent:
                return self._owe(lacking)
        if spent:
            self.outcome = "budget"
            return self._confirm(leader, belief) if leader is not None and not self.exhausted else None
        self._advance()
        return self._step("race", self._worth_a_run(belief), range(question.loads))

    def _worth_a_run(self, belief: Belief) -> list[int]:
        """The settings whose runs can change the answer, some that are likely the best, and the leader.

        One that is surely within the tolerance of the leader's figure is likely the best, and none: to tell ties apart
        would take most of the runs, and the answer is as good without.
        """
        order = _highest(belief.threat, _BATCH)
        order += [at for at in _highest(belief.best, _BATCH) if at not in order][: max(0, _LIKELY - len(order))]
        return order if belief.leader is None or belief.leader in order else [*order, belief.leader]

    def settled(self, belief: Belief) -> bool:
        """Is the risk that the leader is not the answer small enough for choosing it?"""
        return belief.leader is not None and belief.risk <= self.question.error * _SELECTION

    def _confirm(self, leader: int, belief: Belief) -> Step:
        """Fresh blocks of the leader, of today's setting, and of the one that is most likely better, if any is."""
        rivals = [at for at in np.argsort(-belief.best, kind="stable").tolist() if at != leader]
        near = [at for at in rivals[:1] if belief.best[at] > 2 * _RIVAL_CHANCE]
        return self._confirm_all([leader, self.question.against, *near])

    def _confirm_all(self, settings: Iterable[int]) -> Step:
        """The first of the fresh blocks."""
        self.confirmed = tuple(dict.fromkeys(settings))
        self._advance()
        self.first_fresh = self.round
        return self._step("confirm", self.confirmed, range(self.question.loads))

    def believe(self) -> Belief:
        """What is believed now, of all runs before the fresh ones."""
        return self._believe()

    def _believe(self) -> Belief:
        question, count = self.question, self.settings
        rng = self._rng(2 + self.number)
        rows = self.evaluations()
        counts = np.bincount(np.array([row[0] for row in rows], dtype=np.int64), minlength=count)
        if len(rows) < 3:
            nothing = np.zeros(count)
            return Belief(None, 1.0, nothing, nothing, nothing + 1, nothing, counts)
        goal = fit(self.alike, runs_of([row[:3] for row in rows]))
        draws = goal.draws(rng, DRAWS)
        fits, breaks, over = self._within_limits(rows, rng)
        value = np.where(fits, draws, np.inf)
        least = value.min(axis=1)
        some = np.isfinite(least)
        best = np.bincount(value[some].argmin(axis=1), minlength=count) / max(1, int(some.sum()))
        able = (
            [at for at in np.flatnonzero(counts) if at not in self.out and over[at] <= question.tolerance / 2]
            if some.any()
            else []
        )
        leader, risk, threat = None, 1.0, best
        if able:
            beaten = draws[some][:, able] - least[some][:, None] > question.tolerance
            risks = (beaten | breaks[some][:, able]).mean(axis=0)
            place = int(np.argmin(risks))
            leader, risk = int(able[place]), float(risks[place])
            threat = np.bincount(value[some][beaten[:, place]].argmin(axis=1), minlength=count) / len(draws)
        best = best if some.any() else np.zeros(count)
        return Belief(leader, risk, best, goal.mean, goal.sd, over, counts, threat)

    def _within_limits(
        self, rows: Sequence[tuple[int, int, float, tuple[float, ...]]], rng: np.random.Generator
    ) -> tuple[Flags, Flags, Floats]:
        """Draws of (is a setting allowed, does it break a limit by far), and by how much each is over, as expected."""
        shape = (DRAWS, self.settings)
        fits, breaks, over = np.ones(shape, dtype=bool), np.zeros(shape, dtype=bool), np.full(self.settings, -np.inf)
        for limit in self._limits(rows):
            at_limit = limit.draws(rng, DRAWS, joint=False)
            fits &= at_limit <= 0
            breaks |= at_limit > self.question.tolerance
            over = np.maximum(over, limit.mean)
        fits[:, list(self.out)] = False
        return fits, breaks, over

    def _limits(self, rows: Sequence[tuple[int, int, float, tuple[float, ...]]]) -> list[Posterior]:
        width = len(rows[0][3])
        return [
            fit(self.alike, runs_of([(row[0], row[1], row[3][at]) for row in rows]), coarse=True) for at in range(width)
        ]

    def evaluations(
        self, *, fresh: bool = False, beside: bool = False
    ) -> list[tuple[int, int, float, tuple[float, ...]]]:
        """(setting, round, goal, limits at every load) where a round has the setting at every load.

        fresh: of the confirming blocks, and of no others; else of all before them. beside: the second figure as goal.
        """
        loads = self.question.loads
        rounds: dict[tuple[int, int], dict[int, Seen]] = {}
        for run in self.seen:
            is_fresh = bool(self.first_fresh) and run.round >= self.first_fresh
            if is_fresh == fresh and run.setting not in self.out:
                rounds.setdefault((run.round, run.setting), {})[run.load] = run
        out = []
        for (number, setting), by_load in rounds.items():
            if len(by_load) == loads:
                goals = [by_load[load].beside if beside else by_load[load].goal for load in range(loads)]
                limits = tuple(value for load in range(loads) for value in by_load[load].limits)
                out.append((setting, number, self.combined(goals), limits))
        return out

    def combined(self, goals: Sequence[float]) -> float:
        """The goal over all loads: the weighted mean of the logarithms, or the worst of them."""
        return max(goals) if self.question.worst else float(np.dot(self.question.weights, goals))

    def _step(self, kind: Kind, settings: Iterable[int], loads: Iterable[int]) -> Step:
        self.number += 1
        step = Step(self.number, kind, self.round, tuple(settings), tuple(loads))
        self.runs += step.runs
        return step

    def _advance(self) -> None:
        """The next block."""
        self.round += 1
        for steps, block in self.floors:
            if self.number >= steps:
                self.round = max(self.round, block + 1)

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.question.seed, stream))


def _highest(chance: Floats, most: int) -> list[int]:
    """The settings of the highest chances, none that has none."""
    return [at for at in np.argsort(-chance, kind="stable")[:most].tolist() if chance[at] > 0]


def runs_of(rows: Sequence[tuple[int, int, float]]) -> Runs:
    """Rows of (setting, block, value) as arrays."""
    settings, rounds, values = zip(*rows, strict=True)
    return Runs(np.array(settings, dtype=np.int64), np.array(rounds, dtype=np.int64), np.array(values, dtype=float))
