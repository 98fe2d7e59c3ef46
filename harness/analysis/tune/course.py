"""A tuning's course: the race's steps as runs of a plan that grows, and the runs' records as what the race has seen."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

import numpy as np

from harness import columns
from harness.analysis.tune.front import FrontRace
from harness.analysis.tune.model import Kernels, kernels
from harness.analysis.tune.race import CONFIRM_BLOCKS, OVER, PILOT_SPREAD, Question, Race, Seen, Step
from harness.plan import RUN_OVERHEAD_S, Experiment, Plan, Run
from harness.spec.cells import Cell, digest
from harness.spec.tune import Limit, Tune
from harness.spec.tune_settings import Tuning
from harness.store import RunRecord

MOST_LONGER = 8
"""A run is made no longer than so many times what the file says."""
_DOUBTS = 2
_REPEATS = 10


@dataclass(frozen=True)
class Guess:
    """What was believed of a setting before its first run (interval of 90 %) and what came out, as logarithms."""

    setting: int
    low: float
    high: float
    value: float

    @property
    def right(self) -> bool:
        """Was the value inside?"""
        return self.low <= self.value <= self.high


@dataclass
class Course:
    """The steps so far and what comes next: ask `next` for runs, have them made, give their records to `take`.

    Depends on the records alone, so that those of a set on disk lead through the same steps again.
    """

    experiment: Experiment
    tuning: Tuning
    seed: int
    budget_s: float | None = None
    floors: tuple[tuple[int, int], ...] = ()
    longer: int = 1
    spreads: list[float] = field(default_factory=list)
    steps: list[tuple[Step, tuple[Run, ...]]] = field(default_factory=list)
    trail: list[dict[str, object]] = field(default_factory=list)
    guesses: list[Guess] = field(default_factory=list)
    spent_s: float = 0.0
    out_of_reach: bool = False

    def __post_init__(self) -> None:
        self.records: dict[str, RunRecord] = {}
        self.cells: dict[tuple[int, int], Cell] = self.tuning.cells()
        self.all_cells: dict[str, Cell] = {}
        self.doubts: dict[int, int] = {}
        self.race = self._race()

    def _race(self) -> Race:
        section = self.tuning.section
        count = len(self.tuning.settings) * len(self.tuning.loads)
        question = Question(
            self.tuning.weights(),
            section.goal.over == "worst",
            section.within,
            section.error,
            len(section.limits),
            self.seed,
            most_runs=count * _REPEATS,
            most=section.goal.most is not None,
        )
        kind = FrontRace if section.goal.beside else Race
        return kind(question, alike(self.tuning), floors=self.floors)

    def next(self) -> tuple[Run, ...] | None:
        """The runs of the next step, in their order; None at the end."""
        race = self.race
        if race.piloted and not race.number_after_pilot and not self._judge_pilot():
            race = self.race
        self._look_at_budget()
        step = race.step() if race.piloted else race.pilot()
        if step is None:
            return None
        runs = self._runs(step)
        self.steps.append((step, runs))
        self.trail.append(self._noted(step))
        return runs

    def foreseen(self) -> tuple[Run, ...]:
        """The runs of the last step, and those that follow whatever it shows: pilots, what is owed, fresh blocks."""
        ahead = copy(self)
        ahead.steps, ahead.trail, ahead.race = [*self.steps], [*self.trail], copy(self.race)
        first = len(ahead.steps) - 1
        while (
            (step := ahead.steps[-1][0]).kind == "confirm"
            or (step.kind == "pilot" and not ahead.race.piloted)
            or (ahead.race.owed and not ahead.race.is_spent())
        ):
            if ahead.next() is None:
                break
        return tuple(run for _, runs in ahead.steps[first:] for run in runs)

    def give_up(self) -> None:
        """Take back the step that was asked for last, whose runs will not be made, and judge what there is."""
        step, _ = self.steps.pop()
        self.trail.pop()
        race = self.race
        if step.kind == "confirm" and step.round == race.first_fresh:
            race.confirmed, race.first_fresh = (), 0
        race.outcome = race.outcome or "budget"
        if race.belief is None and len(race.seen) > 3:
            race.belief = race.believe()

    def ask(self, tuning: Tuning) -> None:
        """Ask the runs that were made another question: goal, limits, tolerance, error. Fresh blocks stay fresh."""
        self.tuning = replace(self.tuning, section=tuning.section, layers=tuning.layers)
        before = self.race
        race = self.race = self._race()
        race.out = {at: reason for at, reason in before.out.items() if reason != OVER}
        race.number, race.runs, race.first_fresh = before.number, before.runs, before.first_fresh
        of_cell = {self.cells[key].cell_id: key for key in self.cells}
        for step, runs in self.steps:
            for run in runs:
                key, record = of_cell.get(run.cell.cell_id), self.records.get(run.run_id)
                one = observed(record, *key, step.round, self.tuning) if key and record else None
                race.seen += [one] if one is not None else []
        self.guesses = []
        belief = race.belief = race.believe()
        race.outcome = "sure" if race.settled(belief) else "budget"
        if belief.leader is not None:
            race.confirmed = tuple(dict.fromkeys([belief.leader, *before.confirmed, race.question.against]))

    def plan(self, due: Sequence[Run] = ()) -> Plan:
        """All runs so far as a plan. due: and these, which are foreseen."""
        runs = (*(run for _, own in self.steps for run in own), *due)
        runs = tuple({run.run_id: run for run in runs}.values())
        cells = {run.cell.cell_id: run.cell for run in runs}
        repeat = max((run.block for run in runs), default=1)
        experiment = self.experiment
        identity = [experiment.name, self.seed, repeat, "blocks", [run.run_id for run in runs]]
        return Plan(
            name=experiment.name,
            description=experiment.description,
            seed=self.seed,
            repeat=repeat,
            order="blocks",
            cells=tuple(cells.values()),
            runs=runs,
            document=experiment.document,
            plan_hash=digest(identity, length=64),
        )

    def take(self, records: Mapping[str, RunRecord]) -> None:
        """The records of the last step's runs, by run id; what is not there was not made."""
        step, runs = self.steps[-1]
        seen: list[Seen] = []
        out: dict[int, str] = {}
        of_cell = {self.cells[key].cell_id: key for key in self.cells}
        for run in runs:
            record = records.get(run.run_id)
            if record is None:
                continue
            self.records[run.run_id] = record
            self.spent_s += record.wall_s or 0.0
            setting, load = of_cell[run.cell.cell_id]
            one = observed(record, setting, load, step.round, self.tuning)
            if one is not None:
                seen.append(one)
                continue
            self.doubts[setting] = self.doubts.get(setting, 0) + 1
            good = any(other.setting == setting for other in self.race.seen)
            lasting = record.verdict in ("inert", "failed", "skipped") or self.doubts[setting] > _DOUBTS
            if lasting and not good and setting != self.race.question.against:
                verdict = "no figure" if record.verdict == "valid" else record.verdict
                out[setting] = f"{verdict}: {record.reasons[0]}" if record.reasons else verdict
        self._check_guesses(step, seen)
        self.race.take(seen, out)

    def _judge_pilot(self) -> bool:
        """Is the noise small enough? Else runs twice as long are piloted, as long as that helps and there is time."""
        spread = self.race.spread()
        self.spreads.append(spread)
        room = self.longer * 2 <= MOST_LONGER and (self.budget_s is None or self.spent_s * 2 < self.budget_s / 4)
        if not spread > PILOT_SPREAD or not room:
            self.out_of_reach = spread > PILOT_SPREAD
            self.race.number_after_pilot = self.race.number
            return True
        self.longer *= 2
        self.cells = self.tuning.cells(self.longer)
        before, self.race = self.race, self._race()
        # Blocks are numbered on, so that no two pilots share one.
        self.race.first_round = self.race.round = before.round
        self.race.number, self.race.runs, self.race.out = before.number, before.runs, before.out
        return False

    def _look_at_budget(self) -> None:
        """Would another step, and then the fresh blocks, end after the budget? Would the fresh blocks alone, by far?"""
        if self.budget_s is None or not self.records:
            return
        per_run_s = self.spent_s / len(self.records)
        fresh_s = 2.5 * CONFIRM_BLOCKS * len(self.tuning.loads) * per_run_s
        batch_s = 8 * len(self.tuning.loads) * per_run_s
        self.race.spent = self.spent_s + batch_s + fresh_s > self.budget_s
        self.race.exhausted = self.spent_s + fresh_s > 1.5 * self.budget_s

    def _runs(self, step: Step) -> tuple[Run, ...]:
        cells = [self.cells[setting, load] for setting in step.settings for load in step.loads]
        # Each step has a generator of its own, so that its order depends on no other's.
        random.Random(f"{self.seed}/{step.number}").shuffle(cells)
        first = sum(len(runs) for _, runs in self.steps)
        return tuple(
            Run(digest([cell.cell_id, step.round]), cell, step.round, first + at) for at, cell in enumerate(cells)
        )

    def _noted(self, step: Step) -> dict[str, object]:
        belief = self.race.belief
        noted: dict[str, object] = {
            "step": step.number,
            "kind": step.kind,
            "block": step.round,
            "settings": [self.tuning.settings[at].name for at in step.settings],
            "loads": list(step.loads),
        }
        if belief is not None:
            name = None if belief.leader is None else self.tuning.settings[belief.leader].name
            noted |= {"leader": name, "risk": round(belief.risk, 4), "left": int((belief.best > 0.001).sum())}
        return noted

    def _check_guesses(self, step: Step, seen: Sequence[Seen]) -> None:
        """What was believed of settings that this step measured for the first time, beside what came out."""
        belief, race = self.race.belief, self.race
        if step.kind != "race" or belief is None:
            return
        noise = race.spread() ** 2 / max(1, race.question.loads)
        for setting in step.settings:
            goals = {run.load: run.goal for run in seen if run.setting == setting}
            if belief.counts[setting] or len(goals) < race.question.loads:
                continue
            reach = 1.645 * math.sqrt(belief.sd[setting] ** 2 + noise)
            value = race.combined([goals[load] for load in range(race.question.loads)])
            mean = float(belief.mean[setting])
            self.guesses.append(Guess(setting, mean - reach, mean + reach, value))


def alike(tuning: Tuning) -> Kernels:
    """What the settings have in common, from the values of their knobs."""
    keys = list(tuning.settings[0].levels)
    knobs = []
    for axis in tuning.axes:
        own = [key for key in keys if key == axis.key or key.startswith(f"{axis.key}.")]
        parts = []
        for key in own:
            levels = [setting.levels[key] for setting in tuning.settings]
            numbers = is_ordered(key) and all(value is None or isinstance(value, float) for value in levels)
            # A key that is not set is 0 to the kernel, as far as it is a number.
            plain = [0.0 if value is None and numbers else str(value) if not numbers else value for value in levels]
            parts.append((np.unique(np.array(plain), return_inverse=True)[1].astype(np.int64), numbers))
        if parts:
            knobs.append(parts)
    return kernels(knobs)


def is_ordered(key: str) -> bool:
    """Are a knob's numbers more and less of something? Those of CPUs are names."""
    return key.rpartition(".")[2] != "cpus"


def aims(section: Tune) -> list[tuple[str, int]]:
    """The columns that are wanted, one or the two of a front, each with 1 where less is better, else -1."""
    goal = section.goal
    first = (goal.metric, 1 if goal.least else -1)
    return [
        first,
        *([(goal.beside, 1 if columns.metric(goal.beside).better == "lower" else -1)] if goal.beside else []),
    ]


def observed(record: RunRecord, setting: int, load: int, block: int, tuning: Tuning) -> Seen | None:
    """What a run says of its setting; None of one that does not count, or has no such figure."""
    section = tuning.section
    goals, limits = [], []
    for name, sign in aims(section):
        value = record.metrics.get(name)
        if record.verdict != "valid" or value is None or not value > 0:
            return None
        goals.append(sign * math.log(value))
    for limit in section.limits:
        figure = record.metrics.get(limit.metric)
        if figure is None:
            return None
        limits.append(excess(limit, float(figure)))
    return Seen(setting, load, block, goals[0], tuple(limits), goals[-1])


def excess(limit: Limit, value: float) -> float:
    """How far a figure is beyond a limit, as a share of it near by, and like a logarithm far from it."""
    bound = limit.bound
    beyond = 2 * math.log((value + bound) / (2 * bound)) if bound > 0 and value >= 0 else value - bound
    return -beyond if limit.above else beyond


def expected_runs(tuning: Tuning) -> dict[str, int]:
    """How many runs a tuning takes (10, 50 and 90 %), fitted to the simulation, and the full grid ten times over."""
    settings, loads = len(tuning.settings), len(tuning.loads)
    whole = settings * loads * _REPEATS
    # Pilot and fresh blocks take the same of any space, telling the best apart more of a larger one.
    usual = (60 + 0.08 * settings + 65 * min(1.0, settings / 100)) * loads
    shares = {"few": 0.88, "usual": 1.0, "many": 1.3}
    return {name: min(whole, round(share * usual)) for name, share in shares.items()} | {"grid": whole}


def run_s(cells: Mapping[tuple[int, int], Cell]) -> float:
    """Seconds that a run takes, of all cells on average."""
    return float(np.mean([RUN_OVERHEAD_S + cell.spec.workload.takes_ns() / 1e9 for cell in cells.values()]))


def without(tuning: Tuning, lacking: Mapping[int, str]) -> Tuning:
    """The tuning without settings that this place cannot have, and why; today's stays."""
    kept = tuple(setting for at, setting in enumerate(tuning.settings) if at not in lacking or at == 0)
    dropped = dict(tuning.dropped)
    for at, reason in lacking.items():
        if at:
            dropped[reason] = dropped.get(reason, 0) + 1
    return replace(tuning, settings=kept, dropped=dropped)
