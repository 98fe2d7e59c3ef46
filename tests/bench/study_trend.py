"""The simulation study of `trend`: how often histories without a change are said to have one, and what is seen of one.

Histories of medians of sets: noise from set to set of 5 %, log-normal, or with far values, or resembling the set
before; then with one step, or with one that is undone again. Beside them what apache-otava and ruptures say of the same
histories, where these are installed (python -m venv X; X/bin/pip install apache-otava ruptures). Everything is seeded;
`nice python -m tests.bench.study_trend` prints the tables of docs/trend.md, with a name those of one of them.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from harness.stats import breaks
from harness.stats.contrast import contrast
from harness.stats.runs import Floats

HISTORIES = 1000
STEPS = 200
PAGES = 600
SPREAD = 0.05
SETS = 24
Detector = Callable[[Floats], bool]
"""Does a history change?"""


def ours(values: Floats) -> bool:
    """As `pollbench trend` has it for a history by itself."""
    return breaks.jump_p(values, breaks.resemblance([values], 0.05)) <= 0.05


def others() -> Iterator[tuple[str, Detector]]:
    """The libraries that are installed here."""
    if importlib.util.find_spec("otava"):
        analysis: Any = importlib.import_module("otava.analysis")
        for p in (0.001, 0.05):
            yield (
                f"apache-otava, p {p:g}",
                lambda values, p=p: bool(analysis.compute_change_points(values.tolist(), 50, p)[0]),
            )
    if importlib.util.find_spec("ruptures"):
        ruptures: Any = importlib.import_module("ruptures")

        def pelt(values: Floats, model: str) -> bool:
            logs = np.log(values)
            # The penalty of its documentation: BIC, with the spread of the differences for sigma.
            sigma = float(np.median(np.abs(np.diff(logs)))) / 0.9539
            penalty = 2 * sigma**2 * np.log(logs.size) if model == "l2" else 3.0
            return len(ruptures.Pelt(model=model, min_size=2, jump=1).fit(logs).predict(pen=penalty)) > 1

        yield "ruptures, PELT, l2, BIC", lambda values: pelt(values, "l2")
        yield "ruptures, PELT, rbf, 3", lambda values: pelt(values, "rbf")


def noise(draw: np.random.Generator, kind: str, count: int) -> Floats:
    """A history without a change."""
    steps = draw.standard_normal(count)
    if kind == "far values":
        steps = np.where(draw.random(count) < 0.1, steps * 6, steps)
    if kind.startswith("lag"):
        lag = float(kind.split()[1])
        for at in range(1, count):
            steps[at] = lag * steps[at - 1] + np.sqrt(1 - lag**2) * steps[at]
    if kind == "drift":
        steps += np.linspace(0, 2, count)
    return np.asarray(100 * np.exp(SPREAD * steps))


def false_alarms(name: str, detect: Detector) -> None:
    """In how many of the histories without a change one is claimed."""
    shares = []
    kinds = (("log-normal", 12), ("log-normal", 24), ("log-normal", 60), ("far values", 24))
    for kind, count in (*kinds, ("lag 0.3", 24), ("lag 0.5", 60)):
        draw = np.random.default_rng([7, count])
        shares.append(sum(detect(noise(draw, kind, count)) for _ in range(HISTORIES)) / HISTORIES)
    print(f"| {name} | {' | '.join(f'{100 * share:.1f} %' for share in shares)} |", flush=True)


def power(name: str, detect: Detector) -> None:
    """In how many histories with a step it is seen, so many sets after it; and one that is undone after six."""
    shares = []
    for step in (1.1, 1.2):
        for since in (3, 4, 6, 12):
            draw = np.random.default_rng([8, since])
            hits = 0
            for _ in range(STEPS):
                values = noise(draw, "log-normal", SETS)
                values[SETS - since :] *= step
                hits += detect(values)
            shares.append(hits / STEPS)
    draw, hits = np.random.default_rng(9), 0
    for _ in range(STEPS):
        values = noise(draw, "log-normal", SETS)
        values[9:15] *= 1.2
        hits += detect(values)
    shares.append(hits / STEPS)
    print(f"| {name} | {' | '.join(f'{100 * share:.0f} %' for share in shares)} |", flush=True)


def places_and_sizes() -> None:
    """How often a change that is claimed lies where it is said to lie, and is as large as it is said to be."""
    for step in (1.1, 1.2, 1.5):
        for since in (4, 8, 12):
            draw, right, held, seen = np.random.default_rng([10, since]), 0, 0, 0
            for _ in range(STEPS):
                values = noise(draw, "log-normal", SETS)
                values[SETS - since :] *= step
                if len(jumps := breaks.jumps(values, 0.05)) != 1:
                    continue
                (jump,) = jumps
                seen += 1
                right += jump.earliest <= SETS - since <= jump.latest
                sized = contrast(values[: jump.at], values[jump.at :], paired=False, logarithmic=True)
                if sized is not None:
                    interval = sized.interval(0.95)
                    held += interval.low <= step <= interval.high
            shares = [f"{100 * count / max(seen, 1):.0f} %" for count in (right, held)]
            print(f"| {100 * (step - 1):.0f} % | {since} | {seen} | {' | '.join(shares)} |", flush=True)


def pages() -> None:
    """In how many pages of 12 histories without a change one is claimed anywhere; and how many see a step of 20 %."""
    for kind, count in (*product(("log-normal", "lag 0.3"), (14, SETS)), ("log-normal", 60), ("lag 0.5", 60)):
        draw, wrong = np.random.default_rng([11, count]), 0
        for _ in range(PAGES):
            series = [noise(draw, kind, count) for _ in range(12)]
            wrong += _least_p(series) <= 0.05 / 12
        print(f"pages of 12 histories of {count} ({kind}) without a change that claim one: {100 * wrong / PAGES:.1f} %")
    draw, hits = np.random.default_rng(12), 0
    for _ in range(PAGES):
        series = [noise(draw, "log-normal", SETS) for _ in range(12)]
        for values in series:
            values[SETS - 6 :] *= 1.2
        hits += _least_p(series[:1], breaks.resemblance(series, 0.05)) <= 0.05 / 12
    print(
        f"histories of 12 with a step of 20 %, six sets after it, that are said to have one: {100 * hits / PAGES:.1f} %"
    )


def _least_p(series: list[Floats], lag: float | None = None) -> float:
    lag = breaks.resemblance(series, 0.05) if lag is None else lag
    return min(breaks.jump_p(values, lag) for values in series)


if __name__ == "__main__":
    every: list[tuple[str, Detector]] = [("pollbench", ours), *others()]
    detectors = [one for one in every if one[0].startswith(tuple(sys.argv[1:] or [""]))]
    for study in (false_alarms, power):
        print(f"\n{study.__doc__}\n")
        for name, detect in detectors:
            study(name, detect)
    if ("pollbench", ours) in detectors:
        print(f"\n{places_and_sizes.__doc__}\n")
        places_and_sizes()
        pages()
