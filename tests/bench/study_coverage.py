"""The simulation study behind docs/statistics.md: coverage, false claims, power, and the adaptive rule.

Populations are of runs: each number is one run's quantile. Everything is seeded; `python -m
tests.bench.study_coverage` prints the tables of the document, in about a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from harness import stats
from harness.stats import stopping_rule
from harness.store import RunRecord

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]

TRIALS = 2000
COUNTS = (5, 10, 20)
LEVEL = 0.05


def normal(draw: np.random.Generator, count: int) -> Floats:
    """Runs that vary by 10 %."""
    return np.maximum(draw.normal(100, 10, count), 1)


def log_normal(draw: np.random.Generator, count: int) -> Floats:
    """Runs with a long tail: sigma 0.3."""
    return 100 * draw.lognormal(0, 0.3, count)


def bimodal(draw: np.random.Generator, count: int) -> Floats:
    """Two states of the host, 65 to 35, half as slow again in the second; 5 % within each."""
    return 100 * np.where(draw.random(count) < 0.35, 1.5, 1.0) * draw.normal(1, 0.05, count)


POPULATIONS: dict[str, Draw] = {"normal": normal, "log-normal": log_normal, "bimodal": bimodal}


def block_noise(draw: np.random.Generator, count: int) -> Floats:
    """What the runs of a block share."""
    return np.asarray(draw.lognormal(0, 0.15, count))


def table(title: str, heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
    """Print a markdown table."""
    print(f"\n{title}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def percent(hits: float, trials: int = TRIALS) -> str:
    """A share in percent; a percentage of 2000 trials is off by about half a point."""
    return f"{100 * hits / trials:.1f}"


def coverage_rows() -> Iterator[tuple[str, ...]]:
    """How often 95 % intervals hold the truth: of a median, of a ratio apart, of a ratio in blocks."""
    for name, population in POPULATIONS.items():
        truth = float(np.median(population(np.random.default_rng(0), 1_000_000)))
        for count in COUNTS:
            draw = np.random.default_rng([7, count])
            median = apart = paired = 0
            for _ in range(TRIALS):
                base, test = population(draw, count), population(draw, count)
                shared = block_noise(draw, count)
                found = stats.median_interval(base)
                median += found is not None and found.low <= truth <= found.high
                apart += not _shown(base, test, paired=False)
                paired += not _shown(base * shared, test * shared, paired=True)
            yield name, str(count), percent(median), percent(apart), percent(paired)


def _shown(base: Floats, test: Floats, *, paired: bool) -> bool:
    found = stats.ratio_interval(base, test, paired=paired)
    return found is not None and found.shown


def claims(
    draw: np.random.Generator, effects: list[float], count: int, *, paired: bool
) -> tuple[list[bool], list[bool], list[bool]]:
    """Of a table with these true changes, the cells claimed to have one.

    By the interval, by the rank test alone, and by the interval where the rank test, corrected, confirms it.
    """
    found = []
    for change in effects:
        shared = block_noise(draw, count) if paired else 1.0
        base, test = (normal(draw, count) * shared for _ in range(2))
        found.append(stats.effect(base, test * (1 + change), paired=paired))
    raw = [each.rank.p for each in found if each.rank is not None]
    shown = [each.ratio is not None and each.ratio.shown for each in found]
    confirmed = [one and p <= LEVEL for one, p in zip(shown, stats.holm(raw), strict=True)]
    return shown, [p <= LEVEL for p in raw], confirmed


def false_rows() -> Iterator[tuple[str, ...]]:
    """Tables without any effect: how often one cell, and any cell of twelve, is claimed to have one."""
    for paired in (False, True):
        for count in COUNTS:
            draw = np.random.default_rng([11, count, paired])
            single = any_shown = any_raw = any_confirmed = 0
            trials = TRIALS // 2
            for _ in range(trials):
                shown, raw, confirmed = claims(draw, [0.0] * 12, count, paired=paired)
                single += sum(shown)
                any_shown += any(shown)
                any_raw += any(raw)
                any_confirmed += any(confirmed)
            design = "blocks" if paired else "apart"
            yield (
                design,
                str(count),
                percent(single, 12 * trials),
                percent(any_shown, trials),
                percent(any_raw, trials),
                percent(any_confirmed, trials),
            )


def power_rows() -> Iterator[tuple[str, ...]]:
    """How often a change is shown, and confirmed among four cells that all have it; runs vary by 10 %."""
    for paired in (False, True):
        for count in COUNTS:
            parts = []
            for change in (0.05, 0.1, 0.2, 0.5):
                draw = np.random.default_rng([13, count, paired])
                trials, seen, sure = TRIALS // 8, 0, 0
                for _ in range(trials):
                    shown, _, confirmed = claims(draw, [change] * 4, count, paired=paired)
                    seen += sum(shown)
                    sure += sum(confirmed)
                parts.append(f"{100 * seen / trials / 4:.0f} / {100 * sure / trials / 4:.0f}")
            yield "blocks" if paired else "apart", str(count), *parts


def adaptive_rows() -> Iterator[tuple[str, ...]]:
    """Blocks added until both cells' intervals are narrow: how many, and how often the intervals then hold."""
    trials = TRIALS // 2
    for name, population in POPULATIONS.items():
        truth = float(np.median(population(np.random.default_rng(0), 1_000_000)))
        for width in (0.05, 0.1):
            rule = stopping_rule.Adaptive(5, 40, "rtt_p50_us", width)
            draw = np.random.default_rng([17, int(100 * width)])
            sizes, median, ratio = [], 0, 0
            for _ in range(trials):
                base, test = population(draw, rule.most), population(draw, rule.most)
                count = _stops(rule, base, test)
                sizes.append(count)
                found = stats.median_interval(base[:count])
                median += found is not None and found.low <= truth <= found.high
                ratio += not _shown(base[:count], test[:count], paired=True)
            spread = "/".join(f"{size:.0f}" for size in np.quantile(sizes, (0.1, 0.5, 0.9)))
            capped = sum(size == rule.most for size in sizes)
            row = (f"+-{100 * width:g} %", spread, percent(capped, trials))
            yield name, *row, percent(median, trials), percent(ratio, trials)


def _stops(rule: stopping_rule.Adaptive, base: Floats, test: Floats) -> int:
    """After how many blocks the rule is content."""
    records = [
        RunRecord("", case, "valid", block=block, metrics={rule.metric: float(value)})
        for block, pair in enumerate(zip(base, test, strict=True), 1)
        for case, value in zip("ab", pair, strict=True)
    ]
    return next(
        count
        for count in range(rule.least, rule.most + 1)
        if stopping_rule.state(rule, records[: 2 * count], count).enough
    )


def main() -> None:
    """Print every table."""
    table("Coverage of 95 % intervals, %", ("runs", "n", "median", "ratio, apart", "ratio, blocks"), coverage_rows())
    table(
        "False claims in tables of 12 cells without any effect, %",
        ("design", "n", "a cell, interval", "any, interval", "any, rank test", "any, confirmed (Holm)"),
        false_rows(),
    )
    table(
        "Power, %: shown by the interval / confirmed (Holm over 4 cells)",
        ("design", "n", "5 %", "10 %", "20 %", "50 %"),
        power_rows(),
    )
    table(
        "Repetitions until it is enough (5 to 40, two cells)",
        ("runs", "asked for", "n: 10/50/90 %", "stopped by max, %", "coverage: median, %", "ratio, %"),
        adaptive_rows(),
    )


if __name__ == "__main__":
    main()
