"""The simulation behind docs/tuning.md: how many runs a tuning takes of a full grid's, and how often it is wrong.

`python -m tests.bench.study_tune [--worlds N] [--seed N]` prints the table; 200 worlds of each kind take an hour.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

import numpy as np

from harness.analysis.tune.certificate import certify
from harness.analysis.tune.front import FrontBelief, FrontRace, non_dominated
from harness.analysis.tune.race import Question, Race, Seen, Step
from harness.stats import share_interval
from tests.bench.tune_worlds import Floats, World

GRID_REPEATS = 10


@dataclass
class Outcome:
    """What came of one world. share: runs, of the full grid's; right: within 5 % of the best; grid: was the grid?

    The best is by medians, and by_mean by means: the race's setting, and that with the grid's best means.
    """

    settings: int
    tier: str
    seed: int
    share: float
    claims: bool
    right: bool
    grid: bool
    by_mean: tuple[bool, bool]
    outcome: str
    longest_s: float
    doubts: tuple[str, ...] = ()


def make(world: World, step: Step) -> list[Seen]:
    """The runs of a step, shuffled."""
    pairs = [(setting, load) for setting in step.settings for load in step.loads]
    world.rng.shuffle(pairs)
    out = []
    for setting, load in pairs:
        goal, over = world.run(setting, load)
        out.append(Seen(setting, load, step.round, goal, (over,), over))
    return out


@dataclass
class Front:
    """What came of one world whose front was looked for. recall, precision: as they are; hoped: as the race believed.

    grid: recall and precision of the medians of the full grid.
    """

    settings: int
    tier: str
    seed: int
    share: float
    recall: float
    precision: float
    hoped: tuple[float, float]
    grid: tuple[float, float]
    size: int
    outcome: str
    longest_s: float


OutcomeT = TypeVar("OutcomeT", Outcome, Front)


def drawn_front(settings: int, tier: str, seed: int, *, beside_grid: bool = True) -> Front:
    """The front of one world, of p99 and CPU, without a limit."""
    world = World(settings, tier, seed)
    whole = settings * world.loads * GRID_REPEATS
    race, longest = FrontRace(Question((1 / world.loads,) * world.loads, seed=seed), world.alike), 0.0
    while not race.piloted:
        race.take(without_limits(make(world, race.pilot())))
    while True:
        begun = time.process_time()
        step = race.step()
        longest = max(longest, time.process_time() - begun)
        if step is None:
            break
        race.take(without_limits(make(world, step)))
    belief = race.belief
    assert isinstance(belief, FrontBelief)
    recall, precision = world.covered(np.array(belief.listed))
    hoped = belief.recall, belief.precision
    grid = (0.0, 0.0)
    if beside_grid:
        goal, over = full_grid(World(settings, tier, seed))
        first, second = np.median(goal.mean(axis=2), axis=0), np.median(over, axis=0).mean(axis=1)
        grid = world.covered(non_dominated(first, second))
    return Front(
        settings,
        tier,
        seed,
        race.runs / whole,
        recall,
        precision,
        hoped,
        grid,
        len(belief.listed),
        race.outcome,
        longest,
    )


def without_limits(seen: list[Seen]) -> list[Seen]:
    """The runs of a race that has no limit."""
    return [replace(run, limits=()) for run in seen]


def tuned(settings: int, tier: str, seed: int, most: float = 0.21, *, beside_grid: bool = True) -> Outcome:
    """One tuning of one world, and the full grid of a copy of it, if that is asked for.

    most: no step begins beyond this share of the grid's runs; with fresh blocks it is a quarter.
    """
    world = World(settings, tier, seed)
    whole = settings * world.loads * GRID_REPEATS
    weights = (1 / world.loads,) * world.loads
    question = Question(weights, limits=1, seed=seed, most_runs=round(most * whole))
    race, longest = Race(question, world.alike), 0.0
    while not race.piloted:
        race.take(make(world, race.pilot()))
    while True:
        begun = time.process_time()
        step = race.step()
        longest = max(longest, time.process_time() - begun)
        if step is None:
            break
        race.take(make(world, step))
    certificate = certify(race)
    leader = race.confirmed[0] if race.confirmed else None
    sure = certificate is not None and certificate.sure
    doubts = certificate.doubts if certificate is not None else ()
    right = world.right(leader)
    grid, by_mean = False, (world.right(leader, by_mean=True), False)
    if beside_grid:
        at_median, at_mean = grid_best(World(settings, tier, seed))
        grid, by_mean = world.right(at_median), (by_mean[0], world.right(at_mean, by_mean=True))
    return Outcome(settings, tier, seed, race.runs / whole, sure, right, grid, by_mean, race.outcome, longest, doubts)


def grid_best(world: World) -> tuple[int, int]:
    """The settings with the best medians, and means, of ten repetitions of everything, among those within the limit."""
    goal, over = full_grid(world)
    within = np.where(np.median(over, axis=0).max(axis=1) > 0.025, np.inf, 0.0)
    totals = goal.mean(axis=2)
    return int(np.argmin(np.median(totals, axis=0) + within)), int(np.argmin(totals.mean(axis=0) + within))


def full_grid(world: World) -> tuple[Floats, Floats]:
    """Ten repetitions of everything, repeat x setting x load: the goal, and what is over the limit."""
    goal = np.empty((GRID_REPEATS, world.settings, world.loads))
    over = np.empty_like(goal)
    for repeat in range(GRID_REPEATS):
        for flat in world.rng.permutation(world.settings * world.loads):
            setting, load = divmod(int(flat), world.loads)
            goal[repeat, setting, load], over[repeat, setting, load] = world.run(setting, load)
    return goal, over


def row(outcomes: list[Outcome]) -> str:
    """A line of the table."""
    first, count = outcomes[0], len(outcomes)
    claims = [one for one in outcomes if one.claims]
    wrong = sum(not one.right for one in claims)
    shares = np.array([one.share for one in outcomes])
    above = 100 * share_interval(wrong, len(claims)).high if claims else 100.0
    return (
        f"| {first.settings} | {first.tier} | {count} | 1/{1 / np.median(shares):.1f} | "
        f"1/{1 / np.quantile(shares, 0.9):.1f} | {100 * np.mean([one.right for one in outcomes]):.0f} % | "
        f"{100 * np.mean([one.grid for one in outcomes]):.0f} % | "
        f"{' | '.join(str(sum(one.by_mean[at] for one in outcomes)) for at in (0, 1))} | "
        f"{len(claims)} | {wrong} | {above:.1f} % | "
        f"{max(one.longest_s for one in outcomes):.2f} |"
    )


def front_row(outcomes: list[Front]) -> str:
    """A line of the table of fronts."""
    first, shares = outcomes[0], np.array([one.share for one in outcomes])

    def mean(values: list[float]) -> str:
        return f"{100 * np.mean(values):.1f} %"

    parts = [
        f"| {first.settings} | {first.tier} | {len(outcomes)} | 1/{1 / np.median(shares):.1f}",
        f"1/{1 / np.quantile(shares, 0.9):.1f} | {mean([one.recall for one in outcomes])}",
        f"{mean([one.precision for one in outcomes])} | {mean([one.hoped[0] for one in outcomes])}",
        f"{mean([one.hoped[1] for one in outcomes])} | {mean([one.grid[0] for one in outcomes])}",
        f"{mean([one.grid[1] for one in outcomes])} | {np.median([one.size for one in outcomes]):.0f}",
        f"{max(one.longest_s for one in outcomes):.2f} |",
    ]
    return " | ".join(parts)


def main() -> None:
    """Print the table, and with --log every world."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kinds", default="200:quiet,200:rugged,200:load,200:bimodal,100:quiet,360:quiet")
    parser.add_argument("--log")
    parser.add_argument("--front", action="store_true", help="the front of p99 and CPU in place of one best")
    parser.add_argument("--no-grid", action="store_true", help="leave out the full grid of every world")
    options = parser.parse_args()
    heads = "right | grid right | by mean | grid by mean | claims | wrong | at most"
    if options.front:
        heads = "recall | precision | believed | believed | grid recall | grid precision | listed"
    print(f"| settings | kind | worlds | runs, median | 90 % | {heads} | s a step |")
    print(f"{'|---' * (6 + heads.count('|') + 1)}|")
    for kind in options.kinds.split(","):
        size, tier = kind.split(":")
        seeds = range(options.first, options.first + options.worlds)
        if options.front:
            print(front_row(logged(drawn_front, int(size), tier, seeds, options)), flush=True)
        else:
            print(row(logged(tuned, int(size), tier, seeds, options)), flush=True)


def logged(
    one_world: Callable[..., OutcomeT], size: int, tier: str, seeds: Iterable[int], options: argparse.Namespace
) -> list[OutcomeT]:
    """What comes of the worlds of these seeds, with --log each a line of that file too."""
    outcomes = []
    for seed in seeds:
        outcomes.append(one_world(size, tier, seed, beside_grid=not options.no_grid))
        if options.log:
            with open(options.log, "a") as log:
                log.write(json.dumps(asdict(outcomes[-1])) + "\n")
    return outcomes


if __name__ == "__main__":
    main()
