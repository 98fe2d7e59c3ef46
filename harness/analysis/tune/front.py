"""The race for a front: the settings that no other beats in two figures at once, and how much of it is known."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from harness.analysis.tune.model import Flags, Floats, Ints, fit
from harness.analysis.tune.race import DRAWS, Belief, Race, Step, runs_of

FRONT_BLOCKS = 3
"""So many fresh blocks of every setting on the front: enough for its figures, not for pairs of neighbours."""
_BATCH = 6
_NOTHING = 0.2  # of the tolerance: a gain that is none


@dataclass
class FrontBelief(Belief):
    """What is believed of a front. listed: the settings that are taken to be on it, by rising first figure.

    best: the chance to be on the front; recall: the expected share of the front that has a listed setting within the
    tolerance in both figures; precision: of the listed, the expected share that none beats by more in both.
    wanting: how often a setting is missing, listed wrongly, or beats one that is listed.
    """

    listed: tuple[int, ...] = ()
    recall: float = 0.0
    precision: float = 0.0
    wanting: Floats = field(default_factory=lambda: np.empty(0))


def non_dominated(first: Floats, second: Floats) -> Ints:
    """Of points, both figures low where good, those that none beats in both; by rising second figure."""
    order = np.lexsort((first, second))
    value = first[order]
    before = np.minimum.accumulate(np.concatenate([[np.inf], value[:-1]]))
    return order[value < before - 1e-12]


def close(listed: Ints, first: Floats, second: Floats, front: Ints, tolerance: float) -> tuple[Flags, Flags, Flags]:
    """Which of the front have a listed setting within the tolerance, which listed ones are beaten, and who beats them.

    Beaten: by one of the front, by more than the tolerance in both figures.
    """
    near: Flags = (first[listed][None] <= first[front][:, None] + tolerance) & (
        second[listed][None] <= second[front][:, None] + tolerance
    )
    beats: Flags = (first[front][:, None] < first[listed][None] - tolerance) & (
        second[front][:, None] < second[listed][None] - tolerance
    )
    return np.asarray(near.any(axis=1)), np.asarray(beats.any(axis=0)), np.asarray(beats.any(axis=1))


def for_nothing(first: Floats, second: Floats, tolerance: float) -> Flags:
    """Which points of a front give up more than the tolerance in one figure, and gain next to nothing in the other.

    Beside the point that they differ from so little nobody would take them.
    """
    one, other = first[:, None] - first[None], second[:, None] - second[None]
    gain = -_NOTHING * tolerance
    lost = ((one > tolerance) & (other > gain)) | ((other > tolerance) & (one > gain))
    return np.asarray(lost.any(axis=1))


@dataclass
class FrontRace(Race):
    """A race that ends when enough of the front is known; confirmed are then all settings on it, and today's.

    What is told apart is the front as a whole: an expected share of it may be missing or listed wrongly.
    """

    @property
    def fresh_blocks(self) -> int:
        """How many blocks confirm."""
        return FRONT_BLOCKS

    def settled(self, belief: Belief) -> bool:
        """Are the expected shares that are missing, and that are listed wrongly, small enough?"""
        return belief.risk <= self.question.error

    def _decide(self, belief: Belief) -> Step | None:
        assert isinstance(belief, FrontBelief)
        question, counts, spent = self.question, belief.counts, self.is_spent()
        if not belief.listed and (spent or not belief.best.any()):
            self.outcome = "budget" if spent else "nothing allowed"
            return None
        unseen = [at for at in belief.listed if not counts[at]]
        done = bool(belief.listed) and self.settled(belief) and not unseen
        if done or spent:
            self.outcome = "sure" if done else "budget"
            return None if self.exhausted else self._confirm_all([*belief.listed, question.against])
        # Where a run changes most of what is believed: those in doubt, and of these the ones that ran least.
        worth = (belief.wanting + 0.1 * belief.best) / np.maximum(counts, 0.7)
        worth[unseen] += 1.0
        order = [at for at in np.argsort(-worth, kind="stable")[:_BATCH].tolist() if worth[at] > 0]
        self._advance()
        return self._step("race", sorted(order), range(question.loads))

    def _believe(self) -> FrontBelief:
        question, count = self.question, self.settings
        rng = self._rng(2 + self.number)
        rows = self.evaluations()
        counts = np.bincount(np.array([row[0] for row in rows], dtype=np.int64), minlength=count)
        if len(rows) < 3:
            nothing = np.zeros(count)
            return FrontBelief(None, 1.0, nothing, nothing, nothing + 1, nothing, counts)
        seconds = self.evaluations(beside=True)
        goal, other = (fit(self.alike, runs_of([row[:3] for row in own])) for own in (rows, seconds))
        fits, _, over = self._within_limits(rows, rng)
        first, second = (np.where(fits, figure.draws(rng, DRAWS, most=count), np.inf) for figure in (goal, other))
        mean, beside, best = goal.mean, other.mean, np.zeros(count)
        belief = FrontBelief(None, 1.0, best, mean, goal.sd, over, counts, wanting=np.zeros(count))
        able = np.array([at for at in range(count) if at not in self.out and over[at] <= question.tolerance / 2])
        if len(able):
            listed = able[non_dominated(mean[able], beside[able])]
            listed = listed[~for_nothing(mean[listed], beside[listed], question.tolerance)]
            self._weigh(belief, listed[np.argsort(mean[listed], kind="stable")], first, second)
        return belief

    def _weigh(self, belief: FrontBelief, listed: Ints, first: Floats, second: Floats) -> None:
        """What draws of both figures say of a list: without those that are beaten in most of them, it is `listed`."""
        tolerance, share = self.question.tolerance, 1 / len(first)
        draws = [(one, two, non_dominated(one, two)) for one, two in zip(first, second, strict=True)]
        draws = [draw for draw in draws if len(draw[2])]
        beaten = sum((close(listed, *draw, tolerance)[1] * share for draw in draws), np.zeros(len(listed)))
        listed = listed[beaten < 0.5]
        recall, precision = [], []
        for one, two, front in draws if len(listed) else ():
            near, beaten_now, beating = close(listed, one, two, front, tolerance)
            recall.append(near.mean())
            precision.append(1 - beaten_now.mean())
            belief.best[front] += share
            for wanting in (front[~near], listed[beaten_now], front[beating]):
                belief.wanting[wanting] += share
        if recall:
            belief.recall, belief.precision = float(np.mean(recall)), float(np.mean(precision))
            belief.risk = 1 - min(belief.recall, belief.precision)
            belief.listed = tuple(listed.tolist())
