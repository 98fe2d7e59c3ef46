"""The simulation study of runs made again for noise: what it brings, what it costs, and that it claims nothing false.

A plan of 8 cells and 5 or 10 repetitions is carried out on a clock of its own, on machines whose CPUs are taken away in
bursts, by the product's own account (`harness/places/redo.py`); then the page is judged by the analysis' own intervals.
Everything is seeded; `nice python -m tests.bench.study_noise` prints the tables of docs/statistics.md in some five
minutes of a CPU.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from harness import stats
from harness.analysis.compare.model import LEVEL
from harness.places.redo import Redo
from harness.plan import Plan, estimate_s, make_plan
from harness.spec.load import load_experiment
from harness.stats.contrast import contrast
from harness.store import RunRecord
from tests import experiment
from tests.bench.study_coverage import table

PAGES = 1000
CAMPAIGNS = 300
_LOOK_S, _PAUSE_S, _AROUND_S = 0.05, 0.1, 0.15
_LIMIT = 0.05
_METRICS = 3
_CASES = 8


@dataclass(frozen=True)
class Machine:
    """A host whose CPU set is taken away in bursts: for on_s in the mean, a share `duty` of it, every on_s + off_s.

    slow: how much longer everything takes in the slow one of two states, in which the host is as long as in the other;
    moody: that state and the bursts are one.
    """

    name: str
    on_s: float = 0.0
    off_s: float = 1.0
    duty: float = 0.0
    slow: float = 0.0
    moody: bool = False

    @property
    def taken(self) -> float:
        """The share of all time that is taken."""
        return self.duty * self.on_s / (self.on_s + self.off_s)


MACHINES = (
    Machine("quiet"),
    Machine("2 %: bursts of 2 s", 2.0, 38.0, 0.4),
    Machine("5 %: bursts of 2 s", 2.0, 14.0, 0.4),
    Machine("10 %: bursts of 4 s", 4.0, 16.0, 0.5),
    Machine("15 %: bursts of 10 s", 10.0, 30.0, 0.6),
    Machine("5 %: bursts of 0.2 s", 0.2, 1.8, 0.5),
    Machine("4 %, never quiet", 1.0, 0.0, 0.04),
    Machine("10 %, never quiet", 1.0, 0.0, 0.1),
)


class Clock:
    """Time on a machine, and whether it is in a burst."""

    def __init__(self, machine: Machine, draw: np.random.Generator) -> None:
        self.machine, self.now_s, self._draw = machine, 0.0, draw
        self.on = bool(draw.random() < machine.on_s / (machine.on_s + machine.off_s))
        self.slow = bool(draw.random() < 0.5)
        self._left_s, self._mood_s = self._length_s(), float(draw.exponential(10.0))

    def pass_by(self, seconds: float) -> float:
        """Let time pass; the share of it that was taken."""
        taken_s, until_s = 0.0, self.now_s + seconds
        while self.now_s < until_s:
            step_s = min(self._left_s, self._mood_s, until_s - self.now_s)
            taken_s += step_s * self.machine.duty if self.on else 0.0
            self.now_s, self._left_s, self._mood_s = self.now_s + step_s, self._left_s - step_s, self._mood_s - step_s
            if self._left_s <= 0:
                self.on = not self.on
                self._left_s = self._length_s()
            if self._mood_s <= 0:
                self.slow, self._mood_s = not self.slow, float(self._draw.exponential(10.0))
        return taken_s / seconds

    def _length_s(self) -> float:
        mean_s = self.machine.on_s if self.on else self.machine.off_s
        return float(self._draw.exponential(mean_s)) if mean_s else 1e-9


Values = dict[str, dict[int, np.ndarray]]
"""The logarithms of the metrics of each case's valid runs, by block."""


def carried_out(plan: Plan, machine: Machine, draw: np.random.Generator, effect: float = 0.0) -> tuple[Values, float]:
    """({case: {block: logarithms of the metrics}} of the valid runs, seconds). effect: of case1, as a share."""
    clock, account = Clock(machine, draw), Redo(plan)
    spread, shared = draw.uniform(0.02, 0.05, _CASES), draw.normal(0, 0.05, plan.repeat + 1)
    values: Values = {cell.case: {} for cell in plan.cells}
    for run in plan.runs:
        at, window_s = int(run.cell.case[4:]), run.cell.spec.workload.takes_ns() / 1e9
        attempt, again = 0, True
        while again:
            attempt, patience_s, waited_s = attempt + 1, account.patience_s(run), 0.0
            begun_s = clock.now_s
            clock.pass_by(_AROUND_S)
            noisy = clock.pass_by(_LOOK_S) > _LIMIT
            while noisy and waited_s < patience_s:
                waited_s += _LOOK_S + _PAUSE_S
                clock.pass_by(_PAUSE_S)
                noisy = clock.pass_by(_LOOK_S) > _LIMIT
            taken = clock.pass_by(window_s)
            slow = (clock.on if machine.moody else clock.slow) * machine.slow
            figures = shared[run.block] + spread[at] * draw.normal(0, 1, _METRICS) + 3 * taken + slow
            figures += np.log1p(effect) if at == 1 else 0.0
            made = RunRecord(run.run_id, run.cell.case, "valid", wall_s=clock.now_s - begun_s)
            made = replace(made, noise=("foreign",) if taken > _LIMIT else (), metrics={"quiet_wait_s": waited_s})
            again = account.why_not(run, made, attempt) is None
            if not made.noise:
                values[run.cell.case][run.block] = figures
    return values, clock.now_s


def page_of(values: Values) -> list[tuple[bool, float]]:
    """Of every change of the page whether it is claimed, by [together] alone, and the ratio of its means."""
    base, found = values["case0"], []
    for test in list(values.values())[1:]:
        common = sorted(base.keys() & test.keys())
        paired = len(common) >= stats.MIN_BLOCKS_RATIO
        for metric in range(_METRICS):
            left, right = (
                np.array([side[block][metric] for block in (common if paired else sorted(side))])
                for side in (base, test)
            )
            found.append(contrast(left, right, paired=paired, logarithmic=False))
    confidence = 1 - LEVEL / len(found)
    ends = [(one, one.interval(confidence)) for one in found if one is not None]
    return [(not end.low <= 0 <= end.high, float(np.exp(one.mean))) for one, end in ends]


def plans(repeat: int) -> tuple[Plan, Plan]:
    """The plan of 8 cases of 1.7 s, without runs made again and with them."""
    cases = {f"case{at}": {"workload": {"size": f"{64 + at}B"}} for at in range(_CASES)}
    workload = experiment.document()["workload"] | {"warmup": "200ms", "duration": "1500ms"}
    with TemporaryDirectory() as where:
        off, on = (
            make_plan(load_experiment(experiment.write(Path(where), workload=workload, cases=cases, **changes)))
            for changes in ({"checks": {"redo": "0%"}, "repeat": repeat}, {"checks": {}, "repeat": repeat})
        )
    return off, on


def cost_rows(campaigns: int) -> Iterator[tuple[str, ...]]:
    """Per machine: valid runs of 40 and whole tables without and with runs made again, and how much longer it took."""
    off, on = plans(5)
    usual_s = estimate_s(on)
    for number, machine in enumerate(MACHINES):
        cells = []
        for plan in (off, on):
            draw = np.random.default_rng([41, number])
            made = [carried_out(plan, machine, draw) for _ in range(campaigns)]
            valid = [sum(map(len, values.values())) for values, _ in made]
            times = [seconds / usual_s for _, seconds in made]
            whole = np.mean([count == len(plan.runs) for count in valid])
            cells += [f"{np.mean(valid):.1f}", f"{100 * whole:.0f}"]
        yield machine.name, *cells, f"{np.mean(times):.2f}", f"{max(times):.2f}"


def false_rows(pages: int) -> Iterator[tuple[str, ...]]:
    """A/A pages that claim something, %, without and with runs made again; and the effect of 10 % as it is seen."""
    machines = (
        Machine("no noise"),
        Machine("noise that tells nothing", 2.0, 14.0, 0.4),
        Machine("a slow state beside it", 2.0, 14.0, 0.4, slow=0.3),
        Machine("noise in the slow state only", 5.0, 5.0, 0.2, slow=0.3, moody=True),
    )
    for number, machine in enumerate(machines):
        for repeat in (5, 10):
            cells = []
            for plan in plans(repeat):
                draw = np.random.default_rng([43, number, repeat])
                made = [page_of(carried_out(plan, machine, draw)[0]) for _ in range(pages)]
                wrong = sum(any(claimed for claimed, _ in page) for page in made)
                ends = stats.share_interval(wrong, pages)
                shifted = (page_of(carried_out(plan, machine, draw, 0.1)[0]) for _ in range(pages // 10))
                seen = [page[0][1] for page in shifted if page]
                cells += [f"{100 * wrong / pages:.1f} [{100 * ends.low:.1f}..{100 * ends.high:.1f}]"]
                cells += [f"{np.nanmedian(seen):.3f}"]
            yield machine.name, str(repeat), cells[0], cells[2], cells[1], cells[3]


def main() -> None:
    """Print both tables."""
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    heads = ("machine", "valid", "whole tables, %", "valid", "whole tables, %", "time / plan", "at most")
    table(
        f"Without / with runs made again: of 40 runs, {CAMPAIGNS} campaigns", heads, cost_rows(int(CAMPAIGNS * scale))
    )
    heads = ("noise", "n", "without", "with", "+10 % seen, without", "with")
    table(f"False pages, %, of {int(PAGES * scale)}", heads, false_rows(int(PAGES * scale)))


if __name__ == "__main__":
    main()
