"""The simulation study of whole pages behind docs/statistics.md: how many claim what is not so, and what they find.

Pages of result sets in which nothing differs (A/A), and of sets in which one case differs. Beside each figure stands
that of the rule before: every cell claimed by its own interval. The tables come from the changes of a page, judged by
the analysis' own functions but without tables of runs, which take ten times as long; tests/unit/test_together.py holds
whole pages to the same. Everything is seeded; `nice python -m tests.bench.study_pages` prints the tables of the
document in some fifteen minutes of a CPU.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from harness import stats
from harness.analysis.compare import Change, Comparison, Row, change
from harness.analysis.compare.change import decided
from harness.analysis.compare.family import family_of
from harness.analysis.compare.gate import judge as judge_gate
from harness.analysis.compare.gate import parse_gate
from harness.analysis.compare.model import LEVEL
from harness.analysis.summary import CHANGED, overview
from harness.tables import Source
from tests.bench.study_coverage import table

PAGES = 2000
CASES = (1, 4, 8)
COUNTS = (5, 10, 20)
EFFECTS = (0.05, 0.1, 0.2)
SHIFTED = "case1"
P50 = "rtt_p50_us"

_LEVELS = {
    P50: 20.0,
    "rtt_p99_us": 40.0,
    "rtt_p99_9_us": 70.0,
    "rtt_jitter_us": 50.0,
    "rate_rps": 5e4,
    "set_cpu_us_per_request": 12.0,
}


@dataclass(frozen=True)
class Noise:
    """How runs vary: from run to run in a cell (drawn between two shares), with the block, and by outliers.

    rho: how much of a run's deviation the next run of its cell has.
    """

    least: float = 0.02
    most: float = 0.05
    block: float = 0.05
    outlier: float = 0.02
    rho: float = 0.0


def made_set(
    draw: np.random.Generator, cases: int, count: int, effect: float = 0.0, noise: Noise | None = None
) -> Source:
    """A set of so many cases beside `base`, in shuffled blocks; `effect` is that of case1, on every metric.

    Metrics of a run share half of their variance; tails vary half as much again as medians.
    """
    noise = noise or Noise()
    names = ["base", *(f"case{at}" for at in range(1, cases + 1))]
    order = np.concatenate([block * len(names) + draw.permutation(len(names)) for block in range(count)])
    blocks = np.arange(count)
    columns: dict[str, object] = {"case": names * count, "block": np.repeat(blocks, len(names)), "order": order}
    shape = (count, len(names))
    spread = draw.uniform(noise.least, noise.most, len(names))
    common = _deviations(draw, shape, noise)
    outliers = np.where(draw.random(shape) < noise.outlier, draw.uniform(1.1, 1.6, shape), 1.0)
    shared = draw.lognormal(0, noise.block, (count, 1))
    for name, level in _LEVELS.items():
        wide = 1.5 if name not in (P50, "rate_rps") else 1.0
        own = (common + _deviations(draw, shape, noise)) / np.sqrt(2)
        values = level * shared * outliers * np.exp(wide * spread * own)
        values[:, 1] *= 1 + effect
        columns[name] = values.ravel()
    return Source("made", pd.DataFrame(columns).assign(verdict="valid"))


def _deviations(draw: np.random.Generator, shape: tuple[int, int], noise: Noise) -> np.ndarray:
    """Standard normal, and with `rho` one block like the last."""
    found = draw.normal(0, 1, shape)
    for block in range(1, shape[0]):
        found[block] = noise.rho * found[block - 1] + np.sqrt(1 - noise.rho**2) * found[block]
    return found


Claimed = dict[str, bool]
"""Whether a page claims a difference, by rule: "new", and "old", that of single intervals."""


def _alone(change: Change) -> bool:
    """The rule before: the change's own interval leaves out no effect."""
    return bool(change.decides and change.decides.shown)


def _claims(change: Change) -> bool:
    return change.outcome in ("lower", "higher")


def show_page(source: Source) -> Claimed:
    """Everything on the page of `run` and `show`: every change; before, p50 in the table and the headline's metrics."""
    return _shown([cell.changes for cell in overview(source).cells if cell.changes])


def _shown(moved: list[dict[str, Change]]) -> Claimed:
    best = sorted(moved, key=_appeal, reverse=True)[:2]
    old = [*(changes[P50] for changes in moved), *(each for changes in best for each in changes.values())]
    return {"new": any(_claims(each) for changes in moved for each in changes.values()), "old": any(map(_alone, old))}


def _appeal(changes: dict[str, Change]) -> tuple[bool, float]:
    """By what the headline's cells were chosen."""
    p50 = changes[P50]
    value = p50.ratio.value if p50.ratio else 1.0
    return _alone(p50), 1 / value if value < 1 else value / 1e6


def compare_page(comparison: Comparison) -> Claimed:
    """The rows of `compare`."""
    found = [row.change for row in comparison.rows]
    return {"new": any(map(_claims, found)), "old": any(map(_alone, found))}


def gate_page(comparison: Comparison) -> Claimed:
    """`--fail-if "rtt_p50_us > +0%"`."""
    found = judge_gate(comparison, parse_gate(f"{P50} > +0%"))
    old = [result.interval is not None and result.interval.low > 1 for result in found.results]
    return {"new": found.outcome == "failed", "old": any(old)}


_Moved = dict[str, dict[str, Change]]
"""Changes by case and metric."""


def moved_of(source: Source, metrics: Iterable[str]) -> _Moved:
    """Every case against the base of the same set, block by block."""
    cells = dict(list(source.runs.groupby("case", sort=False)))
    base = cells.pop("base")
    return {str(case): {name: _paired(name, base, runs) for name in metrics} for case, runs in cells.items()}


def _paired(name: str, base: pd.DataFrame, test: pd.DataFrame) -> Change:
    pairs = np.stack([base[name].to_numpy(), test[name].to_numpy()])
    return change(name, pairs[0], pairs[1], pairs=pairs)


def moved_across(one: Source, other: Source) -> _Moved:
    """Every cell of a set against that of another one."""
    cells = [dict(list(each.runs.groupby("case", sort=False))) for each in (one, other)]
    return {
        str(case): {name: change(name, base[name].to_numpy(), cells[1][case][name].to_numpy()) for name in _LEVELS}
        for case, base in cells[0].items()
    }


def together(moved: _Moved) -> _Moved:
    """All of them judged as one page."""
    family = family_of([each for changes in moved.values() for each in changes.values()], LEVEL)
    return {
        case: {name: decided(name, each, 0.0, family) for name, each in changes.items()}
        for case, changes in moved.items()
    }


def _rows(moved: _Moved) -> Comparison:
    rows = [Row(name, case, (), None, None, each) for case, changes in moved.items() for name, each in changes.items()]
    return Comparison("cases", "made", (), (), tuple(rows))


def _part(moved: _Moved) -> _Moved:
    """What `show` compares."""
    return {case: {name: each for name, each in changes.items() if name in CHANGED} for case, changes in moved.items()}


def share(pages: list[Claimed]) -> str:
    """The share of pages that claim something, by the rule before and now, in percent, that with its exact interval."""
    old, new = (sum(page[rule] for page in pages) for rule in ("old", "new"))
    ends = stats.share_interval(new, len(pages))
    return f"{100 * old / len(pages):.0f} / {100 * new / len(pages):.1f} [{100 * ends.low:.1f}..{100 * ends.high:.1f}]"


def false_rows(pages: int) -> Iterator[tuple[str, ...]]:
    """Per number of cases and repetitions: of A/A pages the share that claims anything, before and now."""
    for cases, count in product(CASES, COUNTS):
        draw = np.random.default_rng([23, cases, count])
        made = [moved_of(made_set(draw, cases, count), _LEVELS) for _ in range(pages)]
        shown = [_shown(list(together(_part(moved)).values())) for moved in made]
        compared = [_rows(together(moved)) for moved in made]
        yield (
            str(cases),
            str(count),
            share(shown),
            share([compare_page(each) for each in compared]),
            share([gate_page(each) for each in compared]),
        )


def sets_rows(pages: int) -> Iterator[tuple[str, ...]]:
    """The same of two sets of five cases each, not paired."""
    for count in COUNTS:
        draw = np.random.default_rng([37, count])
        made = [moved_across(made_set(draw, 4, count), made_set(draw, 4, count)) for _ in range(pages)]
        yield str(count), share([compare_page(_rows(together(moved))) for moved in made])


def power_rows(pages: int) -> Iterator[tuple[str, ...]]:
    """One case differs by so much: the share of pages that claim it of its p50, by its own interval and now."""
    for cases, count in product(CASES, COUNTS):
        yield str(cases), str(count), *(_power(pages, cases, count, effect) for effect in EFFECTS)


def _power(pages: int, cases: int, count: int, effect: float) -> str:
    draw = np.random.default_rng([29, cases, count])
    made = [together(moved_of(made_set(draw, cases, count, effect), CHANGED[:3])) for _ in range(pages)]
    found = [moved[SHIFTED][P50] for moved in made]
    return f"{100 * sum(map(_alone, found)) / pages:.0f} / {100 * sum(map(_claims, found)) / pages:.0f}"


def chained_rows(pages: int) -> Iterator[tuple[str, ...]]:
    """A/A pages of `show` with runs that resemble the run before: also without looking for that."""
    for cases, count in product((1, 8), COUNTS):
        draw = np.random.default_rng([31, cases, count])
        made = [moved_of(made_set(draw, cases, count, noise=Noise(rho=0.5)), CHANGED[:3]) for _ in range(pages)]
        blind = [{"old": False, "new": _blind(moved)} for moved in made]
        pages_found = [_shown(list(together(moved).values())) for moved in made]
        yield str(cases), str(count), share(pages_found), share(blind).removeprefix("0 / ")


def _blind(moved: _Moved) -> bool:
    changes = {(case, name): each for case, of_case in moved.items() for name, each in of_case.items()}
    family = replace(family_of(changes.values(), LEVEL), lag=0.0)
    return any(_claims(decided(name, each, 0.0, family)) for (_, name), each in changes.items())


def main() -> None:
    """Print every table."""
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else PAGES
    of_pages = ("cases", "n", "show", "compare --baseline", "--fail-if")
    table(f"False pages, %, before / now, of {pages}", of_pages, false_rows(pages))
    effects = ("cases", "n", *(f"{100 * effect:g} %" for effect in EFFECTS))
    table(f"Power, %: alone / now, of {pages // 2}", effects, power_rows(pages // 2))
    table(f"False pages of compare A B, %, before / now, of {pages // 4}", ("n", "before / now"), sets_rows(pages // 4))
    chained = ("cases", "n", "before / now", "without widening")
    table(f"False pages of show at rho 0.5, %, of {pages // 4}", chained, chained_rows(pages // 4))


if __name__ == "__main__":
    main()
