"""The simulation study of `repeat: {until: verdict}`: how often its pages claim what is not so, what they find, cost.

Pages as in study_pages, made repetition by repetition by the product's own rule, and judged at the end as `show`
judges them; beside them pages of a fixed number of repetitions, from the same draws. Then the shipped quickstart,
drawn from the spread of the runs in results/reference/quickstart. Everything is seeded; `nice python -m
tests.bench.study_stopping` prints the tables of docs/statistics.md in some ten minutes of a CPU.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness import stats
from harness.analysis.compare import Change
from harness.analysis.compare.change import decided, measured
from harness.analysis.compare.family import family_of
from harness.analysis.compare.model import LEVEL
from harness.stats.runs import Floats
from harness.stats.stopping_rule import Adaptive, cell_of, state
from harness.stats.student import quantile
from tests.bench.study_coverage import table
from tests.bench.study_pages import CASES, P50, SHIFTED, made_set

PAGES = 500
METRICS = ("rtt_p50_us", "rtt_p99_us", "set_cpu_us_per_request")
LEAST = 3
MOSTS = (10, 20)
REFERENCE = "results/reference/quickstart/runs.csv"
_OLD_COST = "cpu_us_per_request"


@dataclass
class Made:
    """A run as the rule sees it."""

    case: str
    factors: dict[str, object]
    block: int
    metrics: dict[str, float]
    verdict: str = "valid"
    wall_s: float = 1.0
    order: int = field(default=0)


Cells = dict[tuple[str, str], list[Made]]
"""The runs of each cell, block by block."""


def cells_of(runs: pd.DataFrame) -> Cells:
    """A made set's runs by cell."""
    cells: Cells = {}
    for row in runs.to_dict("records"):
        made = Made(row["case"], {}, int(row["block"]) + 1, {name: row[name] for name in METRICS})
        cells.setdefault(cell_of(made.case, {}), []).append(made)
    return cells


def until_verdict(cells: Cells, rule: Adaptive) -> Cells:
    """The runs that are made of these until every comparison is decided."""
    kept: Cells = {cell: [] for cell in cells}
    settled: frozenset[tuple[str, str]] = frozenset()
    for block in range(1, rule.most + 1):
        for cell, runs in cells.items():
            if cell not in settled:
                kept[cell].append(runs[block - 1])
        if block in rule.looks.at:
            now = state(rule, [run for runs in kept.values() for run in runs], block)
            if now.enough:
                break
            settled = now.settled
    return kept


def judged(cells: Cells, rule: Adaptive | None, baseline: str = "base") -> dict[tuple[str, str, str], Change]:
    """Every change of the page by (case, factors, metric). rule: None where the number of repetitions was fixed."""
    changes = {}
    for (case, factors), runs in cells.items():
        if case == baseline:
            continue
        sides = (cells[baseline, factors], runs)
        for metric in METRICS:
            values = [np.array([run.metrics[metric] for run in side]) for side in sides]
            blocks = [np.array([run.block for run in side], dtype=float) for side in sides]
            count = min(map(len, values))
            pairs = np.stack([side[:count] for side in values]) if count >= stats.MIN_BLOCKS_RATIO else None
            looks = rule.looks if rule else None
            moved = measured(metric, *values, pairs=pairs, looks=looks, blocks=(blocks[0], blocks[1]))
            changes[case, factors, metric] = moved
    family = family_of(changes.values(), LEVEL)
    return {key: decided(key[2], moved, 0.0, family) for key, moved in changes.items()}


def claims(change: Change) -> bool:
    """Is a difference claimed?"""
    return change.outcome in ("lower", "higher")


def rule_of(most: int) -> Adaptive:
    """The rule of `repeat: {min: 3, max: most, until: verdict}`."""
    return Adaptive(LEAST, most, "", 0.0, verdict=METRICS, baseline="base")


def _fixed(cells: Cells, count: int) -> Cells:
    return {cell: runs[:count] for cell, runs in cells.items()}


def _share(hits: int, pages: int) -> str:
    ends = stats.share_interval(hits, pages)
    return f"{100 * hits / pages:.1f} [{100 * ends.low:.1f}..{100 * ends.high:.1f}]"


def false_rows(pages: int) -> Iterator[tuple[str, ...]]:
    """A/A pages that claim anything, %, of the most repetitions and until the verdict; runs made, of the most."""
    for cases, most in product(CASES, MOSTS):
        draw, rule = np.random.default_rng([47, cases, most]), rule_of(most)
        wrong, made = [0, 0], 0
        for _ in range(pages):
            cells = cells_of(made_set(draw, cases, most).runs)
            stopped = until_verdict(cells, rule)
            wrong[0] += any(map(claims, judged(cells, None).values()))
            wrong[1] += any(map(claims, judged(stopped, rule).values()))
            made += sum(map(len, stopped.values()))
        share = made / (pages * most * (cases + 1))
        yield str(cases), str(most), _share(wrong[0], pages), _share(wrong[1], pages), f"{share:.2f}"


def worst_rows(pages: int) -> Iterator[tuple[str, ...]]:
    """A/A pages that claim anything at any look, %: no rule of when to stop, nor any person, can do worse."""
    for cases, most in product(CASES, MOSTS):
        draw, looks = np.random.default_rng([61, cases, most]), rule_of(most).looks
        shape = (pages, most, cases + 1)
        common, spread = draw.normal(0, 1, shape), draw.uniform(0.02, 0.05, (pages, 1, cases + 1))
        far = np.where(draw.random(shape) < 0.02, np.log(draw.uniform(1.1, 1.6, shape)), 0.0)
        shared = draw.normal(0, 0.05, (pages, most, 1)) + far
        wrong = np.zeros(pages, dtype=bool)
        for wide in (1.0, 1.5, 1.5):
            logs = shared + wide * spread * (common + draw.normal(0, 1, shape)) / np.sqrt(2)
            for count in looks.at:
                t, freedom = _student(logs[:, :count, :1], logs[:, :count, 1:], paired=count >= stats.MIN_BLOCKS_RATIO)
                confidence = 1 - looks.share(count) * LEVEL / (cases * len(METRICS))
                reach = np.array([0.0, *(quantile(confidence, one) for one in range(1, 2 * most))])
                wrong |= (np.abs(t) > reach[freedom]).any(axis=1)
        yield str(cases), str(most), _share(int(wrong.sum()), pages)


def _student(base: Floats, test: Floats, *, paired: bool) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Student's t of every page and case, and the degrees of freedom as `Contrast` has them."""
    count = base.shape[1]
    if paired:
        apart = test - base
        freedom = np.full(apart[:, 0].shape, count - 1)
        return apart.mean(axis=1) / np.sqrt(apart.var(axis=1, ddof=1) / count), freedom
    under, over = (side.var(axis=1, ddof=1) / count for side in (base, test))
    whole = (under + over) ** 2 / ((under**2 + over**2) / (count - 1))
    return (test.mean(axis=1) - base.mean(axis=1)) / np.sqrt(under + over), np.floor(whole + 1e-9).astype(np.intp)


def power_rows(pages: int) -> Iterator[tuple[str, ...]]:
    """How often p50 of a case that differs by so much is claimed, %, fixed / until the verdict, and the runs made."""
    for cases, most in product((1, 4), MOSTS):
        cells_of_row = []
        for effect in (0.05, 0.1, 0.2, 1.0):
            draw, rule = np.random.default_rng([53, cases, most]), rule_of(most)
            shown, made = [0, 0], 0
            for _ in range(pages):
                cells = cells_of(made_set(draw, cases, most, effect).runs)
                stopped = until_verdict(cells, rule)
                key = (SHIFTED, "[]", P50)
                shown[0] += claims(judged(cells, None)[key])
                shown[1] += claims(judged(stopped, rule)[key])
                made += sum(map(len, stopped.values()))
            share = made / (pages * most * (cases + 1))
            cells_of_row.append(f"{100 * shown[0] / pages:.0f} / {100 * shown[1] / pages:.0f}, {share:.2f}")
        yield str(cases), str(most), *cells_of_row


def quickstart(draw: np.random.Generator, runs: pd.DataFrame, most: int) -> Cells:
    """The quickstart's cells, drawn log-normal with the means and spreads of the reference's runs."""
    cells: Cells = {}
    for (case, load), of_cell in runs.groupby(["case", "contention.load"], sort=False):
        factors = {"contention.load": load}
        logs = np.log(of_cell[list(METRICS)].to_numpy())
        drawn = np.exp(logs.mean(axis=0) + logs.std(axis=0, ddof=1) * draw.normal(0, 1, (most, len(METRICS))))
        cells[cell_of(str(case), factors)] = [
            Made(str(case), dict(factors), block, dict(zip(METRICS, values.tolist(), strict=True)))
            for block, values in enumerate(drawn, 1)
        ]
    return cells


def quickstart_rows(trials: int) -> Iterator[tuple[str, ...]]:
    """Per most repetitions: runs made, of the 5 a cell that are made without; p50 and all conclusions of these kept."""
    runs = pd.read_csv(REFERENCE)
    if METRICS[2] not in runs or runs[METRICS[2]].isna().all():
        runs[METRICS[2]] = runs[_OLD_COST]
    runs = runs[runs["verdict"] == "valid"]
    for most, named in ((5, METRICS), (10, METRICS), (5, METRICS[:1])):
        draw = np.random.default_rng([59, most])
        rule = Adaptive(LEAST, most, "", 0.0, verdict=named, baseline="base")
        shares, kept, opposed, before, after = [], 0, 0, 0, 0
        for _ in range(trials):
            cells = quickstart(draw, runs, max(most, 5))
            stopped = until_verdict(cells, rule)
            one, other = judged(_fixed(cells, 5), None), judged(stopped, rule)
            shares.append(sum(map(len, stopped.values())) / (5 * len(cells)))
            keys = [key for key in one if claims(one[key])]
            before, after = before + len(keys), after + sum(map(claims, other.values()))
            kept += sum(other[key].outcome == one[key].outcome for key in keys)
            opposed += sum(claims(other[key]) and other[key].outcome != one[key].outcome for key in keys)
        words = "p50" if len(named) == 1 else "all three"
        yield (
            f"3 to {most}", words, f"{np.mean(shares):.2f} ({min(shares):.2f}..{max(shares):.2f})",
            f"{before / trials:.1f}", f"{after / trials:.1f}", f"{100 * kept / before:.0f}", str(opposed),
        )  # fmt: skip


def main(words: Sequence[str]) -> None:
    """Print every table; words: how many pages, in place of PAGES."""
    pages = int(words[0]) if words else PAGES
    heads = ("repetitions", "verdict of", "runs / 5 a cell", "claims of 5", "claims now", "of those kept, %", "opposed")
    table(f"The quickstart, {pages // 5} times", heads, quickstart_rows(pages // 5))
    heads = ("cases", "most", "fixed", "until: verdict", "runs made / most")
    table(
        f"Pages that claim falsely at any look, %, of {10 * pages}",
        ("cases", "max", "any look"),
        worst_rows(10 * pages),
    )
    table(f"False pages, %, of {pages}", heads, false_rows(pages))
    effects = ("5 %", "10 %", "20 %", "100 %")
    table(
        f"Power, %, fixed / until: verdict, runs made / most, of {pages // 5}",
        ("cases", "most", *effects),
        power_rows(pages // 5),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
