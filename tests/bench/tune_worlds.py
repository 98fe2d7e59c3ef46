"""Made-up spaces of settings for `study_tune`: effects as hosts show them, noise drawn from the reference sets."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.tune.front import non_dominated
from harness.analysis.tune.model import Kernels, kernels

Floats = npt.NDArray[np.float64]
ROOT = Path(__file__).parent.parent.parent
SPACES: dict[int, dict[str, tuple[int, ...]]] = {
    100: {"usecs": (0, 10, 25, 50, 200), "prefer": (0, 1), "defer": (0, 10, 20, 50, 200), "threaded": (0, 1)},
    200: {
        "usecs": (0, 10, 25, 50, 200),
        "prefer": (0, 1),
        "defer": (0, 10, 20, 50, 200),
        "threaded": (0, 1),
        "place": (0, 1),
    },
    360: {
        "usecs": (0, 10, 25, 50, 100, 200),
        "prefer": (0, 1),
        "defer": (0, 10, 20, 50, 200),
        "threaded": (0, 1, 2),
        "place": (0, 1),
    },
}
TIERS = ("quiet", "rugged", "load", "bimodal")


@cache
def residuals(column: str, least: float, most: float) -> tuple[Floats, ...]:
    """Logarithms of a column around their cell's median, of cells whose standard deviation lies in between."""
    out = []
    for path in sorted((ROOT / "results/reference/gallery").glob("*/runs.csv")):
        runs = pd.read_csv(path)
        runs = runs[(runs.verdict == "valid") & (runs[column] > 0)]
        for _, cell in runs.groupby([name for name in runs.columns[1:6] if name == "case" or "." in name]):
            values = np.log(cell[column].to_numpy(dtype=float))
            if len(values) >= 7 and least <= values.std(ddof=1) <= most:
                out.append(values - np.median(values))
    return tuple(out)


@dataclass
class World:
    """What is true of every setting (logarithms of p99 and of CPU per request), and runs that show it with noise."""

    settings: int
    tier: str
    seed: int
    loads: int = 3

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng((self.seed, self.settings, TIERS.index(self.tier)))
        space = SPACES[self.settings]
        levels = np.array(list(itertools.product(*space.values())), dtype=float)
        self.column = {name: levels[:, at] for at, name in enumerate(space)}
        self.column.setdefault("place", np.zeros(len(levels)))
        self.alike: Kernels = kernels(
            [[(np.unique(levels[:, at], return_inverse=True)[1], name != "threaded")] for at, name in enumerate(space)]
        )
        self._truth(levels)
        quiet = residuals("rtt_p99_us", 0.0, 0.3)
        heavy = residuals("rtt_p99_us", 0.15, 9.0)
        self.noise = heavy if self.tier == "load" else quiet
        self.cpu_noise = residuals("cpu_us_per_request", 0.0, 0.04)
        self.which = self.rng.integers(len(self.noise), size=(self.settings, self.loads))
        self.cpu_which = self.rng.integers(len(self.cpu_noise), size=(self.settings, self.loads))
        self.second = np.where(
            self.rng.random((self.settings, self.loads)) < (0.5 if self.tier == "bimodal" else 0.0),
            self.rng.uniform(0.2, 0.45, (self.settings, self.loads)),
            0.0,
        )
        self.apart = self.rng.uniform(0.25, 0.7, (self.settings, self.loads))
        # What is true is the median of what is drawn.
        draws = np.array(
            [[np.median(self._noise(at, load, 400)) for load in range(self.loads)] for at in range(len(levels))]
        )
        self.goal = (self.p99 + draws).mean(axis=1)
        means = np.array([own.mean() for own in self.noise])[self.which] + self.second * self.apart
        self.goal_by_mean = (self.p99 + means).mean(axis=1)
        self.cpu_true = self.cpu.mean(axis=1)
        best = (self.cpu - self.cpu.mean(axis=0)).copy()
        self.limit = self.cpu.mean(axis=0) + np.quantile(best, 0.6)
        self.over = (self.cpu - self.limit).max(axis=1)
        self.best = self.goal[self.over <= 0].min()
        self.drift, self.made = 0.0, 0

    def _truth(self, levels: Floats) -> None:
        rng, column = self.rng, self.column
        usecs, defer, prefer = column["usecs"], column["defer"], column["prefer"] * (column["usecs"] > 0)
        thread, place = column["threaded"].astype(int), column["place"]
        wake, fast = rng.lognormal(np.log(100), 0.3), rng.lognormal(np.log(10), 0.2)
        by_defer, by_prefer, by_place = rng.uniform(0.3, 1.2), rng.uniform(-0.25, 0.1), rng.uniform(-0.15, 0.35)
        by_thread = np.array([0.0, rng.uniform(-0.1, 0.5), rng.uniform(-0.6, 0.1)])
        by_hog = rng.uniform(0.0, 1.5)
        self.p99 = np.empty((len(levels), self.loads))
        self.cpu = np.empty((len(levels), self.loads))
        rates = np.array([2e3, 1e4, 4e4])[-self.loads :] * rng.lognormal(0, 0.2, self.loads)
        for load, rate in enumerate(rates):
            gap = 1e6 / rate
            missed = np.exp(-usecs / (gap * rng.uniform(0.25, 0.6))) * np.where(thread == 2, 0.3, 1.0)
            waits = missed * by_defer * defer * np.where(usecs > 0, np.where(prefer > 0, 1.0, 0.7), 1.0)
            polls = np.clip(usecs / gap, 0, 1)
            hogged = np.exp(by_hog * np.maximum(0, polls * (1 - missed) - 0.6))
            factor = np.exp(by_prefer * prefer + by_place * place + by_thread[thread])
            self.p99[:, load] = np.log((fast + missed * wake + waits) * hogged * factor)
            saved = 0.12 * np.minimum(defer, 50) / 50 * (0.4 + 0.6 * missed)
            price = 1 + 0.75 * polls + 0.1 * prefer - saved + np.array([0.0, 0.06, 0.8])[thread] + 0.05 * place
            self.cpu[:, load] = np.log(110 * (1e4 / rate) ** 0.5 * price)
        size = min(0.25, 0.25 * float(self.p99.std()))
        for one, two in itertools.combinations(range(levels.shape[1]), 2):
            first, second = (np.unique(levels[:, at], return_inverse=True)[1] for at in (one, two))
            self.p99 += rng.normal(0, size / 3, (first.max() + 1, second.max() + 1))[first, second][:, None]
        self.p99 += rng.normal(0, size / 3, (len(levels), 1)) + rng.normal(0, size / 4, self.p99.shape)
        self.cpu += rng.normal(0, 0.02, self.cpu.shape)
        if self.tier == "rugged":
            self.p99 += rng.normal(0, 0.3, (len(levels), 1))

    def _noise(self, setting: int, load: int, count: int | None = None) -> Floats:
        drawn = self.rng.choice(self.noise[self.which[setting, load]], count) + self.rng.normal(0, 0.04, count)
        share = self.second[setting, load]
        return np.asarray(drawn + np.where(self.rng.random(count) < share, self.apart[setting, load], 0.0))

    def run(self, setting: int, load: int) -> tuple[float, float]:
        """One run: (logarithm of p99, of CPU per request above its limit)."""
        keep = np.exp(-1 / 8)
        self.drift = keep * self.drift + np.sqrt(1 - keep**2) * self.rng.normal()
        self.made += 1
        shared = 0.07 * self.drift + 0.08 * np.sin(self.made / 700)
        p99 = self.p99[setting, load] + float(self._noise(setting, load)) + shared
        noise = self.rng.choice(self.cpu_noise[self.cpu_which[setting, load]]) + self.rng.normal(0, 0.005)
        return p99, float(self.cpu[setting, load] + noise + 0.02 * self.drift - self.limit[load])

    def covered(self, listed: npt.NDArray[np.int64]) -> tuple[float, float]:
        """(recall, precision) of a front: the share of it with a listed setting within 5 % in p99 and 3 % in CPU.

        And of what is listed, the share that none beats by more in both.
        """
        goal, cost = self.goal, self.cpu_true
        front = non_dominated(goal, cost)
        near = (goal[listed][None] <= goal[front][:, None] + np.log1p(0.05)) & (
            cost[listed][None] <= cost[front][:, None] + np.log1p(0.03)
        )
        beats = (goal[front][:, None] < goal[listed][None] - np.log1p(0.05)) & (
            cost[front][:, None] < cost[listed][None] - np.log1p(0.03)
        )
        return float(near.any(axis=1).mean()), float(1 - beats.any(axis=0).mean()) if len(listed) else 0.0

    def right(self, setting: int | None, within: float = 0.05, *, by_mean: bool = False) -> bool:
        """Is no allowed setting better by more than this, and no limit broken by more than 5 %?"""
        goal = self.goal_by_mean if by_mean else self.goal
        best = goal[self.over <= 0].min()
        return setting is not None and bool(goal[setting] - best <= np.log1p(within) and self.over[setting] <= 0.05)
