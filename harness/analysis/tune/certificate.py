"""What may be claimed of the leader of a race: from fresh blocks alone, and not where its runs have two states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.tune.model import Floats
from harness.analysis.tune.race import Race
from harness.stats import Effect, Ratio, effect, holm

MIN_STATES = 8
"""Fewer runs show no second state."""
# Share of the variance that the best cut in two explains: no more than this in 99 % of normal samples of so many.
_ONE_STATE = ((8, 0.935), (10, 0.907), (12, 0.888), (16, 0.851), (20, 0.829), (24, 0.815), (32, 0.789), (64, 0.741))


@dataclass(frozen=True)
class Fresh:
    """The leader against another setting, block by block, in fresh blocks.

    effect: of what is to be low, leader / other; shown: the ratio of the column itself, which is its inverse where most
    of it is wanted.
    p: of the rank test, by Holm's correction for all that the fresh blocks are asked.
    """

    other: int
    effect: Effect
    p: float
    shown: Ratio | None


@dataclass(frozen=True)
class Certificate:
    """Whether an answer is sure. doubts: in words, why not; fresh: what the fresh blocks showed; risk: by the model."""

    leader: int
    sure: bool
    risk: float
    doubts: tuple[str, ...]
    fresh: tuple[Fresh, ...]


def certify(race: Race) -> Certificate | None:
    """What the race may claim; None of a race without fresh blocks."""
    belief = race.belief
    if not race.confirmed or belief is None:
        return None
    leader, others = race.confirmed[0], race.confirmed[1:]
    by_setting = fresh_goals(race)
    comparisons, p_values = [], []
    for other in others:
        shared = sorted(by_setting.get(leader, {}).keys() & by_setting.get(other, {}).keys())
        ours = np.exp([by_setting[leader][block] for block in shared])
        theirs = np.exp([by_setting[other][block] for block in shared])
        compared = effect(theirs, ours, paired=True)
        shown = effect(1 / theirs, 1 / ours, paired=True).ratio if race.question.most else compared.ratio
        comparisons.append((other, compared, shown))
        p_values.append(compared.rank.p if compared.rank is not None else 1.0)
    corrected = holm(p_values)
    fresh = tuple(Fresh(other, e, p, shown) for (other, e, shown), p in zip(comparisons, corrected, strict=True))
    doubts = [*_of_race(race), *_of_states(race, leader), *_of_fresh(race, fresh), *_of_relapse(race, fresh)]
    return Certificate(leader, not doubts, belief.risk, tuple(doubts), fresh)


def fresh_goals(race: Race) -> dict[int, dict[int, float]]:
    """Setting to block to goal, of the fresh blocks."""
    out: dict[int, dict[int, float]] = {}
    for setting, block, goal, _ in race.evaluations(fresh=True):
        out.setdefault(setting, {})[block] = goal
    return out


@dataclass(frozen=True)
class States:
    """Runs in two states. low, high: the logarithm of the figure in each; better: how many of the runs are in low."""

    low: float
    high: float
    better: int
    runs: int


def two_states(values: Sequence[float], least: float) -> States | None:
    """Do these logarithms fall into two groups, more than `least` apart, as those of one state hardly ever would?"""
    ordered = np.sort(np.asarray(values, dtype=float))
    count = len(ordered)
    if count < MIN_STATES or not np.ptp(ordered):
        return None
    explained, apart, at = max((*_cut(ordered, at), at) for at in range(2, count - 1))
    usual = float(np.interp(count, [float(n) for n, _ in _ONE_STATE], [share for _, share in _ONE_STATE]))
    if explained <= usual or apart <= least:
        return None
    return States(float(ordered[:at].mean()), float(ordered[at:].mean()), at, count)


def _cut(ordered: Floats, at: int) -> tuple[float, float]:
    """(share of the variance that the cut explains, how far its two sides' means are apart)."""
    low, high = ordered[:at], ordered[at:]
    inside = ((low - low.mean()) ** 2).sum() + ((high - high.mean()) ** 2).sum()
    whole = ((ordered - ordered.mean()) ** 2).sum()
    return float(1 - inside / whole), float(high.mean() - low.mean())


def _of_race(race: Race) -> list[str]:
    if race.outcome == "sure":
        return []
    return ["the budget was spent before the settings were told apart"]


def _of_states(race: Race, leader: int) -> list[str]:
    """Two states of the leader, at any load or in the goal over all of them."""
    tolerance = race.question.tolerance
    for load in range(race.question.loads):
        values = [run.goal for run in race.seen if run.setting == leader and run.load == load]
        if two_states(values, 2 * tolerance):
            return ["the best setting's runs have two states, and a median of such runs says little"]
    return []


def _of_fresh(race: Race, fresh: Sequence[Fresh]) -> list[str]:
    """Another setting that fresh blocks show to be better by more than the tolerance, or too few of them."""
    doubts = []
    for one in fresh:
        ratio = one.effect.ratio
        if ratio is None or ratio.interval is None:
            doubts.append("too few fresh blocks count")
        elif ratio.interval.low > 1 + race.question.within:
            doubts.append("fresh blocks show another setting to be better")
    return doubts[:1]


def _of_relapse(race: Race, fresh: Sequence[Fresh]) -> list[str]:
    """The lead over today's setting that choosing believed in, and that fresh blocks do not show."""
    belief, leader = race.belief, race.confirmed[0]
    assert belief is not None
    for one in fresh:
        if one.other != race.question.against or one.effect.ratio is None or one.effect.ratio.contrast is None:
            continue
        believed = belief.mean[leader] - belief.mean[one.other]
        doubt = np.hypot(one.effect.ratio.contrast.error, np.hypot(belief.sd[leader], belief.sd[one.other]))
        if np.log(one.effect.ratio.value) - believed > race.question.tolerance + 2 * doubt:
            return ["fresh blocks show less of a lead than the race believed"]
    return []
