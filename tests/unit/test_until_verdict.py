"""Repetitions until comparisons are decided: the looks, the rule, the loop, and a page that claims what was decided."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.analysis.compare import compare_cases
from harness.analysis.summary import overview
from harness.cli.carry_out import carry_out, open_set, report
from harness.cli.progress import Progress
from harness.errors import EXIT_OK, InputError
from harness.plan import Plan, Run, load_experiment
from harness.stats import Looks, course, together
from harness.stats.stopping_rule import Adaptive, state
from harness.store import ResultSet, RunRecord
from harness.store.record import Metrics
from harness.tables.source import load_source
from tests import experiment
from tests.fakeplace import FakePlace
from tests.unit import synthetic

METRIC = "rtt_p50_us"
RULE = Adaptive(3, 10, "", 0.0, verdict=(METRIC,), baseline="base")
REPEAT = {"min": 3, "max": 10, "until": {"verdict": [METRIC]}}
BIG, LIKE, NEAR = 10.0, 0.5, 0.06


def values(level: float, spread: float, count: int, seed: int) -> list[float]:
    return [float(level * np.exp(spread * each)) for each in np.random.default_rng(seed).normal(0, 1, count)]


def runs(case: str, made: list[float], verdict: Any = "valid") -> list[RunRecord]:
    return [
        RunRecord("", case, verdict, block=block, wall_s=1.0, metrics={METRIC: value})
        for block, value in enumerate(made, 1)
    ]


BASE = runs("base", values(100, 0.02, 10, 1))


@pytest.mark.parametrize(("least", "most"), [(3, 3), (3, 4), (3, 10), (5, 40), (10, 10_000)])
def test_looks_share_one_chance_between_them(least: int, most: int) -> None:
    looks = Looks(least, most)
    assert (looks.at[0], looks.at[-1]) == (least, most)
    assert all(later > before for before, later in zip(looks.at, looks.at[1:], strict=False))
    assert sum(looks.share(count) for count in looks.at) == pytest.approx(1)


def test_the_interval_of_all_looks_is_what_they_have_in_common() -> None:
    looks, blocks = Looks(3, 10), np.arange(1.0, 11)
    base, test = (np.array(values(level, 0.05, 10, seed)) for level, seed in ((100, 2), (103, 3)))
    seen = course((base, blocks), (test, blocks), looks, logarithmic=True)
    assert len(seen) == len(looks.at)
    whole = together(seen, 0.05, 4)
    parts = [together([look], 0.05, 4) for look in seen]
    assert whole is not None
    assert whole.low == max(part.low for part in parts if part)
    assert whole.high == min(part.high for part in parts if part)
    # A look that has not been made yet takes nothing away from those before; nor does one between two looks.
    for made in range(3, 11):
        one, other = ((side[:made], blocks[:made]) for side in (base, test))
        assert course(one, other, looks, logarithmic=True) == tuple(seen[: sum(at <= made for at in looks.at)])


@pytest.mark.parametrize(
    ("test", "blocks", "enough", "text"),
    [
        (runs("test", values(BIG, 0.02, 10, 4)), 2, False, "2 of at least 3"),
        (runs("test", values(BIG, 0.02, 10, 4)), 3, True, "1 of 1 comparisons are decided"),
        (runs("test", values(106, 0.03, 10, 5)), 3, False, "0 of 1 comparisons are decided"),
        # Too like and too wide for 10 repetitions to tell: it is not waited for.
        (runs("test", values(100, 0.9, 10, 6)), 3, True, "1 would not be with 10 repetitions"),
        (runs("test", values(BIG, 0.02, 10, 4), "suspect"), 3, True, "no comparison has rtt_p50_us of valid runs"),
        (runs("test", values(106, 0.03, 10, 5)), 10, True, ""),
    ],
)
def test_when_it_is_decided(test: list[RunRecord], blocks: int, enough: bool, text: str) -> None:
    now = state(RULE, BASE + test, blocks)
    assert now.enough is enough
    assert text in now.reason


def test_between_two_looks_nothing_is_decided() -> None:
    near = runs("test", values(106, 0.02, 10, 7))
    at = [state(RULE, BASE + near, blocks).enough for blocks in range(3, 11)]
    first = at.index(True) + 3
    assert first in RULE.looks.at
    assert first > 3
    assert all(at[first - 3 :])


def test_only_the_cells_of_undecided_comparisons_go_on() -> None:
    others = runs("fast", values(BIG, 0.02, 10, 4)) + runs("near", values(104, 0.03, 10, 5))
    now = state(RULE, BASE + others, 3)
    assert not now.enough
    assert {case for case, _ in now.settled} == {"fast"}
    assert not state(replace(RULE, budget_s=11.0), BASE + others, 3).settled


CASES: dict[str, dict[str, Any]] = {
    "base": {},
    "fast": {"workload": {"size": "65B"}},
    "near": {"workload": {"size": "66B"}},
}
LEVELS = {"base": values(100, 0.02, 10, 1), "fast": values(10, 0.02, 10, 4), "near": values(104, 0.02, 10, 8)}


def measuring(run: Run) -> RunRecord:
    made = synthetic.record(run.cell.case, block=run.block, order=run.order)
    metrics: Metrics = {METRIC: LEVELS[run.cell.case][run.block - 1]}
    return replace(made, run_id=run.run_id, factors={}, metrics=metrics, knobs=())


def carried_out(home: Path, place: FakePlace, plan: Plan, **changes: Any) -> tuple[ResultSet, int]:
    arguments = argparse.Namespace(
        **{"output": str(home / "results"), "resume": False, "redo": (), "set": []} | changes
    )
    results = open_set(place, plan, b"name: small", arguments)
    interrupted = carry_out(place, plan, results, Progress())
    return results, report(plan, results, interrupted, as_json=True)


def test_a_set_spends_its_repetitions_where_it_is_undecided_and_its_page_claims_what_was_decided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = experiment.plan(tmp_path, cases=CASES, repeat=REPEAT)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    results, code = carried_out(tmp_path, FakePlace(measuring), plan)
    told = capsys.readouterr()
    made = Counter(record.case for record in results.records())
    assert code == EXIT_OK
    assert made["fast"] == 3
    assert made["fast"] < made["near"] == made["base"] <= 10
    assert made["near"] in RULE.looks.at
    assert "comparisons are decided" in told.err
    cells = {cell["case"]: cell["changes"] for cell in json.loads(told.out)["cells"]}
    assert cells["fast"][METRIC]["outcome"] == "lower"
    # Three runs have no interval of their own; the one that holds at every look is there.
    assert cells["fast"][METRIC]["ratio_high"] is None
    assert cells["fast"][METRIC]["together_high"] < 0.2
    assert cells["fast"][METRIC]["p_together"] < 0.05

    view = overview(load_source(results.path))
    assert view.missing == 0
    compared = {row.case: row.change for row in compare_cases(load_source(results.path), "base").rows}
    assert compared["fast"].outcome == "lower"
    assert not compared["fast"].few

    # Interrupted anywhere and resumed, it makes the same runs.
    ids = {record.run_id for record in results.records()}
    for stop_after in (2, 9, 10, len(ids) - 1):
        home = tmp_path / str(stop_after)
        home.mkdir()
        carried_out(home, FakePlace(measuring, stop_after=stop_after), plan)
        again, _ = carried_out(home, FakePlace(measuring), plan, resume=True)
        assert {record.run_id for record in again.records()} == ids


CLAIM = {"case": "fast", "metric": METRIC, "direction": "lower"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"repeat": {"max": 9, "until": "verdicts"}}, 'did you mean "verdict"?'),
        ({"repeat": {"max": 9, "until": {"verdict": ["rtt_p51_us"]}}}, 'no run has a metric "rtt_p51_us"'),
        ({"repeat": {"max": 9, "until": {"verdict": []}}}, "it is empty"),
        ({"repeat": {"max": 9, "min": 2, "until": "verdict"}}, "take min: 3 or more"),
        ({"repeat": {"max": 9, "until": "verdict"}, "cases": {"base": {}}}, "nothing to compare"),
        ({"repeat": {"max": 9, "until": "verdict"}, "order": "sequential"}, "no blocks to add"),
        ({"claims": {"c": {"sentence": "So.", "expect": [CLAIM]}}}, "leave `claims` out"),
    ],
)
def test_what_the_file_may_not_say(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    path = experiment.write(tmp_path, **{"cases": CASES, "repeat": REPEAT} | changes)
    with pytest.raises(InputError) as caught:
        load_experiment(path)
    assert text in " ".join(error.line() for error in (caught.value, *caught.value.others))
    assert f"{path}:" in caught.value.line()
