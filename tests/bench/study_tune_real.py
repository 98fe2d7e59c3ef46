"""Races over two full grids that a quiet host measured: drawn from their runs, or from worlds fitted to them.

`python -m tests.bench.study_tune_real [--races N] [--grids 48,96] [--kinds drawn,one,two] [--most N]` prints figures
that docs/tuning.md has; 40 races of each take ten minutes. tune_grids.csv has p50 in us of every valid run, by setting.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.analysis.tune.certificate import certify, two_states
from harness.analysis.tune.model import Floats, kernels
from harness.analysis.tune.race import Question, Race, Seen, Step

GRIDS = Path(__file__).parent / "tune_grids.csv"
WITHIN, ERROR = 0.1, 0.05
KINDS = ("drawn", "one", "two")
"""Of a grid's own ten runs; normal, so that mean and median are one; of one state or two, as the ten look."""


@dataclass(frozen=True)
class State:
    """How a setting's runs are drawn: normal around low, or in `share` of them `apart` above it."""

    low: float
    spread: float
    share: float = 0.0
    apart: float = 0.0

    def run(self, rng: np.random.Generator) -> float:
        """The logarithm of one run's figure."""
        return float(rng.normal(self.low, self.spread) + (self.apart if rng.random() < self.share else 0.0))


def fitted(values: Floats, kind: str) -> State:
    """What a setting's runs are taken for."""
    states = two_states(values.tolist(), 0.1) if kind == "two" else None
    if states is None:
        return State(float(values.mean()), float(values.std(ddof=1)))
    ordered = np.sort(values)
    sides = ordered[: states.better], ordered[states.better :]
    left = sum(float(((side - side.mean()) ** 2).sum()) for side in sides)
    spread = max(0.02, np.sqrt(left / max(1, len(values) - 2)))
    return State(states.low, float(spread), 1 - states.better / states.runs, states.high - states.low)


class Grid:
    """One of the grids as a world. runs: of every setting, logarithms; mean, median: what is true of each."""

    def __init__(self, name: str, kind: str, seed: int) -> None:
        self.rng = np.random.default_rng((seed, KINDS.index(kind)))
        with open(GRIDS, newline="") as file:
            rows = [row for row in csv.reader(file) if row[0] == name]
        self.keys = [row[1:4] for row in rows]
        self.runs = [np.log(np.array(row[4:], dtype=float)) for row in rows]
        self.states = [fitted(own, kind) for own in self.runs] if kind != "drawn" else []
        levels = []
        for key, ordered in zip(range(3), (True, False, False), strict=True):
            values = [row[key] for row in self.keys]
            order = sorted(set(values), key=float) if ordered else list(dict.fromkeys(values))
            levels.append([(np.array([order.index(value) for value in values]), ordered)])
        self.alike = kernels(levels)
        self.today = self.keys.index(["0", "off", "none"])
        many = [np.array([state.run(self.rng) for _ in range(4000)]) for state in self.states] or self.runs
        self.median = np.array([np.median(own) for own in many])
        self.mean = np.array([own.mean() for own in many])
        if self.states:
            self.mean = np.array([state.low + state.share * state.apart for state in self.states])

    def run(self, setting: int) -> float:
        """One run. What is drawn from ten varies by a hundredth, so that no two are the same."""
        if self.states:
            return self.states[setting].run(self.rng)
        return float(self.rng.choice(self.runs[setting]) + self.rng.normal(0, 0.01))

    def make(self, step: Step) -> list[Seen]:
        """The runs of a step, shuffled."""
        order = self.rng.permutation(step.settings).tolist()
        return [Seen(setting, 0, step.round, self.run(setting)) for setting in order]


def raced(grid: Grid, seed: int, most: int | None) -> tuple[float, bool, float, float]:
    """(share of the full grid x 10, is it claimed, how far the choice is behind the best by mean, by median)."""
    race = Race(Question((1.0,), within=WITHIN, error=ERROR, seed=seed, against=grid.today, most_runs=most), grid.alike)
    while not race.piloted:
        race.take(grid.make(race.pilot()))
    while (step := race.step()) is not None:
        race.take(grid.make(step))
    certificate = certify(race)
    by_mean = by_median = np.inf
    if race.confirmed:
        leader = race.confirmed[0]
        by_mean, by_median = (float(of[leader] - of.min()) for of in (grid.mean, grid.median))
    return race.runs / (10 * len(grid.keys)), certificate is not None and certificate.sure, by_mean, by_median


def least_runs(mean: Floats, variance: Floats, within: float = WITHIN, error: float = ERROR) -> Floats:
    """Runs of every setting, with the least sum, that tell with this error that none is better by more than `within`.

    Whoever plans them knows means and variances of the logarithms, and not which setting has which. For each leader
    within the tolerance: n with v_a/n_a + v_i/n_i <= (d_i + e)^2 / (2 kl(error, 1 - error)) for every other i.
    """
    tolerance, best = np.log1p(within), np.full(len(mean), np.inf)
    nats = (1 - 2 * error) * np.log((1 - error) / error)
    for leader in np.flatnonzero(mean - mean.min() <= tolerance):
        room = (mean - mean[leader] + tolerance) ** 2 / (2 * nats)
        room[leader] = np.inf
        for runs in np.geomspace(1.001 * variance[leader] / room.min(), 1e4, 500):
            needed = variance / (room - variance[leader] / runs)
            needed[leader] = runs
            best = needed if needed.sum() < best.sum() else best
    return best


def called_far(grid: Grid, draws: int = 500) -> float:
    """The share of grids of ten runs by whose medians the setting that is truly the best is beyond the tolerance."""
    best, far = int(grid.median.argmin()), 0
    for _ in range(draws):
        medians = [np.median([grid.run(at) for _ in range(10)]) for at in range(len(grid.keys))]
        far += bool(medians[best] - min(medians) > np.log1p(WITHIN))
    return far / draws


def main() -> None:
    """Print the bound of each grid, and what became of the races."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--races", type=int, default=40)
    parser.add_argument("--first", type=int, default=200)
    parser.add_argument("--grids", default="48,96")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--most", type=int, help="the race ends after so many runs, and is confirmed")
    options = parser.parse_args()
    for name in options.grids.split(","):
        runs = Grid(name, "drawn", 0).runs
        needed = least_runs(np.array([own.mean() for own in runs]), np.array([own.var(ddof=1) for own in runs]))
        whole = 10 * len(runs)
        for what, total in (("bound", needed.sum()), ("each once", np.maximum(1, needed).sum())):
            print(f"{name} settings, {what}: {total:.0f} runs, 1/{whole / total:.1f}")
        for kind in options.kinds.split(","):
            seeds = range(options.first, options.first + options.races)
            table = np.array([raced(Grid(name, kind, seed), seed, options.most) for seed in seeds])
            wrong = table[:, 2:] > np.log1p(WITHIN)
            claimed = table[:, 1] > 0
            far = f"{100 * called_far(Grid(name, kind, 0)):.0f} %" if kind != "drawn" else "-"
            print(
                f"| {kind} | {name} | 1/{1 / np.median(table[:, 0]):.2f} | {claimed.sum()} of {len(table)} | "
                f"{(claimed & wrong[:, 0]).sum()}, {(claimed & wrong[:, 1]).sum()} | "
                f"right of all {(~wrong).sum(axis=0).tolist()} | {far} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
