"""A model of a figure over all settings: a Gaussian process on knobs, from few noisy runs, with honest doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

PRIOR_FREEDOM = 6.0
"""As if so many runs had told beforehand that all settings are equally noisy."""
LEAST_NOISE = 1e-3
_TAIL = 4.0  # degrees of freedom of Student's t, by which runs far from the others count less
_REACH = 1.5  # in steps along an ordered knob: how far one value tells of another
_ALIKE = 0.2  # how much one name of an unordered knob tells of another
_SHARED = 0.5  # variance that runs of one block share, of the variance of a run
# Shares of the variance: single knobs, pairs of knobs, all knobs at once, what a setting has of its own.
_MIXES = (
    (0.50, 0.20, 0.25, 0.05),
    (0.50, 0.30, 0.18, 0.02),
    (0.40, 0.40, 0.15, 0.05),
    (0.30, 0.30, 0.30, 0.10),
    (0.20, 0.20, 0.50, 0.10),
    (0.10, 0.10, 0.30, 0.50),
)
_SCALES = (0.7, 1.5, 4.0)
_MOST_DRAWN = 600
_PLAUSIBLE = 5  # so many of the points are looked at again, when runs far off weigh less
_FEW_MIXES, _FEW_SCALES = (_MIXES[1], _MIXES[3]), (1.0, 3.0)


@dataclass(frozen=True)
class Kernels:
    """How much settings have in common, N x N each: by single knobs, by pairs of them, by all of them."""

    single: Floats
    pairs: Floats
    whole: Floats

    @property
    def count(self) -> int:
        """How many settings there are."""
        return len(self.single)

    def mixed(self, mix: tuple[float, float, float, float], rows: Ints, columns: Ints) -> Floats:
        """Their mixture, with what a setting has of its own, between some settings and others."""
        at = np.ix_(rows, columns)
        own = rows[:, None] == columns[None, :]
        return np.asarray(mix[0] * self.single[at] + mix[1] * self.pairs[at] + mix[2] * self.whole[at] + mix[3] * own)


def kernels(knobs: Sequence[Sequence[tuple[Ints, bool]]]) -> Kernels:
    """Of knobs, each made of one or more (level of every setting, are the levels ordered)."""
    by_knob = []
    for parts in knobs:
        alike = np.ones((len(parts[0][0]), len(parts[0][0])))
        for levels, ordered in parts:
            steps = np.abs(levels[:, None] - levels[None, :])
            alike *= np.exp(-0.5 * (steps / _REACH) ** 2) if ordered else np.where(steps == 0, 1.0, _ALIKE)
        by_knob.append(alike)
    total, count = sum(by_knob), len(by_knob)
    whole = np.prod(by_knob, axis=0)
    squares = sum(alike**2 for alike in by_knob)
    pairs = (total**2 - squares) / (count * (count - 1)) if count > 1 else total
    return Kernels(np.asarray(total) / count, np.asarray(pairs), whole)


@dataclass(frozen=True)
class Runs:
    """Figures of runs, each with its setting and its block; the figure is a logarithm, or scaled like one."""

    setting: Ints
    block: Ints
    value: Floats

    def counts(self, settings: int) -> Ints:
        """How many each setting has."""
        return np.bincount(self.setting, minlength=settings)


@dataclass(frozen=True)
class Posterior:
    """What is believed of every setting: one normal distribution per plausible hyperparameter point, and its weight."""

    means: tuple[Floats, ...]
    covariances: tuple[Floats, ...]
    weights: Floats
    noise: Floats

    @property
    def mean(self) -> Floats:
        """The expected figure of every setting."""
        return np.asarray(sum(w * m for w, m in zip(self.weights, self.means, strict=True)))

    @property
    def sd(self) -> Floats:
        """Its standard deviation."""
        mean = self.mean
        parts = zip(self.weights, self.means, self.covariances, strict=True)
        variance = sum(w * (np.diag(c) + (m - mean) ** 2) for w, m, c in parts)
        return np.sqrt(np.maximum(variance, 1e-12))

    def draws(self, rng: np.random.Generator, count: int, joint: bool = True, most: int = _MOST_DRAWN) -> Floats:
        """count x N draws; not joint: every setting by itself, which is quicker.

        Of more settings than `most` only the most promising are drawn; of the others it is infinite.
        """
        if not joint:
            return np.asarray(self.mean + self.sd * rng.normal(size=(count, len(self.mean))))
        shares = rng.multinomial(count, self.weights / self.weights.sum())
        out = []
        some = np.sort(np.argsort(self.mean - 2.5 * self.sd, kind="stable")[:most])
        for share, whole, pairs in zip(shares, self.means, self.covariances, strict=True):
            if share:
                mean, covariance = whole[some], pairs[np.ix_(some, some)]
                size = np.eye(len(mean)) * (1e-9 + 1e-8 * covariance.diagonal().max())
                out.append(mean + rng.normal(size=(share, len(mean))) @ _root(covariance + size).T)
        drawn = np.full((count, len(self.mean)), np.inf)
        drawn[:, some] = np.concatenate(out)
        return drawn


def noise_of(runs: Runs, settings: int) -> tuple[Floats, float]:
    """(variance of one run of every setting, of one whose spread is not known): own, drawn towards what all have.

    Of squares around a setting's median, of which the largest count less.
    """
    counts = runs.counts(settings)
    spread, freedom = np.zeros(settings), np.maximum(counts - 1, 0)
    value = runs.value - _block_offsets(runs, settings)[runs.block]
    for setting in np.flatnonzero(counts > 1):
        own = value[runs.setting == setting]
        spread[setting] = ((own - own.mean()) ** 2).sum()
    pooled = max(LEAST_NOISE**2, spread.sum() / freedom.sum()) if freedom.sum() >= 3 else 0.02
    variance = (PRIOR_FREEDOM * pooled + spread) / (PRIOR_FREEDOM + freedom)
    # A variance that is known from few runs only may be larger: Student's t as a normal of its variance.
    return variance * (PRIOR_FREEDOM + freedom) / (PRIOR_FREEDOM + freedom - 2), float(pooled)


def fit(alike: Kernels, runs: Runs, *, coarse: bool = False) -> Posterior:
    """What these runs say of all settings. coarse: of a figure that only limits, with fewer hyperparameter points."""
    noise, pooled = noise_of(runs, alike.count)
    middle = float(np.median(runs.value))
    value = runs.value - middle
    width = max(float(np.var(value)), 1e-4)
    blocks = (runs.block[:, None] == runs.block[None, :]) * (_SHARED * pooled)
    own = noise[runs.setting]
    weights = np.ones(len(value))
    mixes, scales = (_FEW_MIXES, _FEW_SCALES) if coarse else (_MIXES, _SCALES)
    mixtures = [alike.mixed(mix, runs.setting, runs.setting) for mix in mixes]
    grid = [(scale * width, place) for place in range(len(mixes)) for scale in scales]
    inside = [size * mixtures[place] for size, place in grid]
    points = {at: _point(part, blocks, own / weights, value) for at, part in enumerate(inside)}
    order = sorted(points, key=lambda at: -points[at][0])
    for last in (False, True):  # by what the likeliest point leaves over, runs far off lose weight
        best = order[0]
        left = value - (inside[best] + blocks) @ _solved(points[best][1], value)
        repeated = runs.counts(alike.count)[runs.setting] > 1
        weights = np.where(repeated, (_TAIL + 1) / (_TAIL + np.minimum(left**2 / own, 1e6)), 1.0)
        weights = np.minimum(weights, 1.0)
        points = {at: _point(inside[at], blocks, own / weights, value) for at in order[: _PLAUSIBLE if last else 1]}
    likelihood = np.array([points[at][0] for at in points])
    plausible = np.exp(likelihood - likelihood.max())
    chosen = [(at, share) for at, share in zip(points, plausible, strict=True) if share > 0.05][:3]
    means, covariances, everyone = [], [], np.arange(alike.count)
    for at, _ in chosen:
        inverse = np.linalg.inv(points[at][1])
        size, place = grid[at]
        across = size * alike.mixed(mixes[place], runs.setting, everyone)
        reach = inverse @ across
        means.append(middle + reach.T @ (inverse @ value))
        covariances.append(size * alike.mixed(mixes[place], everyone, everyone) - reach.T @ reach)
    shares = np.array([share for _, share in chosen])
    return Posterior(tuple(means), tuple(covariances), shares / shares.sum(), noise)


def _point(prior: Floats, blocks: Floats, noise: Floats, value: Floats) -> tuple[float, Floats]:
    """(log likelihood, Cholesky root) of one hyperparameter point."""
    root = _root(prior + blocks + np.diag(noise))
    half = np.linalg.solve(root, value)
    return float(-0.5 * half @ half - np.log(root.diagonal()).sum()), root


def _solved(root: Floats, value: Floats) -> Floats:
    return np.asarray(np.linalg.solve(root.T, np.linalg.solve(root, value)), dtype=np.float64)


def _root(matrix: Floats) -> Floats:
    """The Cholesky root; of a matrix that rounding has made singular, of one a little larger."""
    for more in (0.0, 1e-9, 1e-7, 1e-5):
        try:
            return np.asarray(np.linalg.cholesky(matrix + more * matrix.diagonal().max() * np.eye(len(matrix))))
        except np.linalg.LinAlgError:
            continue
    return np.diag(np.sqrt(np.maximum(matrix.diagonal(), 1e-12)))


def _block_offsets(runs: Runs, settings: int) -> Floats:
    """What the runs of a block share, as far as settings with several runs show it; by block number."""
    counts = runs.counts(settings)
    repeated = counts[runs.setting] > 1
    offsets = np.zeros(int(runs.block.max()) + 1)
    for _ in range(2):
        sums = np.bincount(runs.setting, runs.value - offsets[runs.block], settings)
        left = runs.value - (sums / np.maximum(counts, 1))[runs.setting]
        for block in np.unique(runs.block):
            here = (runs.block == block) & repeated
            if here.sum() >= 3:
                offsets[block] = np.median(left[here] - 0.0) * here.sum() / (here.sum() + 4)
    return offsets
