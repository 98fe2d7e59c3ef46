"""Repetitions until they suffice: the rule on records, in the file, in the plan, in the loop, and growing a set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.errors import InputError
from harness.places import local
from harness.plan import Plan, estimate_s, grows, load_experiment, make_plan
from harness.signals import Stopper
from harness.stats.stopping_rule import Adaptive, state
from harness.store import ResultSet, RunRecord
from harness.store.record import Verdict
from harness.tables import load_source
from tests import experiment
from tests.unit import synthetic

REPEAT = {"min": 3, "max": 8, "until": {"metric": "rtt_p50_us", "ci": "5%"}}
RULE = Adaptive(3, 8, "rtt_p50_us", 0.05)


def runs(
    values: Sequence[float | None], case: str = "a", verdict: Verdict = "valid", wall_s: float = 1.0
) -> list[RunRecord]:
    return [
        RunRecord("", case, verdict, block=block, wall_s=wall_s, metrics={"rtt_p50_us": value})
        for block, value in enumerate(values, 1)
    ]


NARROW, WIDE = [100.0, 101, 99, 100, 102, 100, 101, 99], [100.0, 150, 80, 120, 60, 100, 140, 90]


@pytest.mark.parametrize(
    ("records", "blocks", "enough", "said"),
    [
        (runs(NARROW), 2, False, "2 of at least 3"),
        (runs(NARROW), 4, False, "any width"),
        (runs(NARROW), 5, True, "within +-1.5 %"),
        (runs(WIDE), 6, False, "known within +-45.0 %, not +-5.0 %"),
        (runs(WIDE), 8, True, "all 8 repetitions are made"),
        (runs(NARROW) + runs(WIDE, "b"), 5, False, "not +-5.0 %"),
        (runs(NARROW) + runs(WIDE, "b", "inert"), 5, True, "within"),
        (runs(WIDE, verdict="skipped"), 5, True, "no cell has a valid run"),
        (runs([*NARROW[:5], None]), 6, False, "any width"),
        (runs([None] * 6) + runs(NARROW, "b"), 5, True, "within"),
    ],
)
def test_when_it_is_enough(records: list[RunRecord], blocks: int, enough: bool, said: str) -> None:
    found = state(RULE, records, blocks)
    assert found.enough is enough
    assert said in found.reason


def test_what_is_known_so_far_is_told_with_the_repetitions() -> None:
    found = state(RULE, runs(WIDE), 6)
    assert found.blocks == 6 and found.widest == pytest.approx((150 - 60) / 2 / 100)
    assert found.reason == "rtt_p50_us is known within +-45.0 %, not +-5.0 %"
    few = state(RULE, runs(NARROW), 2)
    assert (few.enough, few.blocks, few.widest) == (False, 2, float("inf"))
    assert few.reason == "2 of at least 3 repetitions"
    none = state(RULE, [], 3)
    assert (none.enough, none.blocks, none.widest) == (True, 3, None)
    assert none.reason == "no cell has a valid run with rtt_p50_us"
    enough = state(RULE, runs(NARROW), 5)
    assert enough.widest == pytest.approx(0.015) and enough.blocks == 5
    last = state(RULE, runs(WIDE), 8)
    assert last.blocks == 8 and last.widest == pytest.approx(found.widest, rel=0.2)


def test_cells_are_of_one_case_under_the_same_factors() -> None:
    """Two cells that lie far apart and agree within themselves; as one they would never be known."""
    near, far = runs([100.0] * 5), runs([500.0] * 5)
    with_factor = [
        replace(record, factors={"load": value}) for records, value in ((near, 1), (far, 2)) for record in records
    ]
    assert state(RULE, with_factor, 5).enough
    assert not state(RULE, near + far, 5).enough
    assert state(RULE, near + [replace(record, case="b") for record in far], 5).enough


def test_a_median_of_zero_has_no_width_as_a_share_of_it() -> None:
    assert state(RULE, runs([0.0] * 6), 6).widest == float("inf")
    assert state(RULE, runs([-100.0, -101, -99, -100, -102]), 5).widest == pytest.approx(0.015)


def test_the_budget_holds_for_the_next_repetition_too() -> None:
    rule = Adaptive(3, 8, "rtt_p50_us", 0.05, budget_s=6.5)
    assert not state(rule, runs(WIDE), 5).enough
    assert "budget of 6.5 s is spent" in state(rule, runs(WIDE), 6).reason


def plan_of(tmp_path: Path, repeat: Any = REPEAT, **changes: Any) -> Plan:
    return experiment.plan(tmp_path, repeat=repeat, **changes)


def test_the_plan_holds_every_repetition_that_may_come(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, repeat=REPEAT | {"budget": "10min"})
    assert plan.adaptive == Adaptive(3, 8, "rtt_p50_us", 0.05, 600)
    assert len(plan.runs) == 8
    assert estimate_s(plan, 3) == pytest.approx(estimate_s(plan) * 3 / 8)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert make_plan(load_experiment(tmp_path / "small.yaml"), repeat=4).adaptive is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"repeat": {"max": 8}}, 'the key "until" is missing'),
        ({"repeat": REPEAT | {"min": 9}}, "min 9 is more than max 8"),
        ({"repeat": REPEAT | {"until": {"metric": "rtt_p5_us", "ci": "5%"}}}, 'did you mean "rtt_p50_us"'),
        ({"repeat": REPEAT | {"until": {"ci": "5"}}}, "%"),
        ({"repeat": REPEAT | {"most": 3}}, 'unknown key "most"'),
        ({"repeat": REPEAT, "order": "sequential"}, "no blocks to add"),
        ({"repeat": "many"}, "not a whole number"),
        ({"repeat": 0}, "at least 1"),
    ],
)
def test_what_the_file_may_not_say(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = experiment.write(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        load_experiment(path)
    assert said in caught.value.line()
    assert f"{path}:" in caught.value.line()


class Quiet:
    """A watcher that watches nothing."""

    def starting(self, run: Any, number: int, total: int) -> None: ...
    def finished(self, run: Any, record: RunRecord) -> None: ...
    def rejected(self, run: Any, record: RunRecord) -> None: ...


def carried_out(
    monkeypatch: pytest.MonkeyPatch, plan: Plan, results: ResultSet, values: list[float], stop_after: int = 10**6
) -> int:
    """Execute a plan with made-up measurements; how many runs were made."""
    made: list[Any] = []

    def make_run(run: Any, *_: Any) -> tuple[RunRecord, None, dict[str, bytes]]:
        if len(made) == stop_after:
            raise KeyboardInterrupt
        made.append(run)
        record = synthetic.record(run.cell.case, block=run.block, order=run.order)
        metrics = {"rtt_p50_us": values[run.block - 1]}
        factors = dict(run.cell.factors)
        return replace(record, run_id=run.run_id, factors=factors, metrics=metrics), None, {}

    monkeypatch.setattr(local, "make_run", make_run)
    try:
        local.Local(Stopper()).execute(plan, results, Quiet())
    except KeyboardInterrupt:
        pass
    return len(made)


def new_set(tmp_path: Path, plan: Plan) -> ResultSet:
    return ResultSet.create(tmp_path / "out", plan.name, "20261122T101500Z", b"", plan, {})


TWO_CASES: dict[str, Any] = {"a": {}, "b": {"workload": {"size": "65B"}}}


def test_whole_blocks_are_added_until_it_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(tmp_path, cases=TWO_CASES)
    assert carried_out(monkeypatch, plan, new_set(tmp_path, plan), NARROW) == 2 * 5
    assert load_source(tmp_path / "out" / "small").planned.popitem()[1] == 3


def test_wide_ones_go_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(tmp_path)
    assert carried_out(monkeypatch, plan, new_set(tmp_path, plan), WIDE) == 8


@pytest.mark.parametrize("stop_after", [3, 7, 9, 10])
def test_resuming_comes_to_the_same_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int) -> None:
    plan = plan_of(tmp_path, cases=TWO_CASES)
    results = new_set(tmp_path, plan)
    first = carried_out(monkeypatch, plan, results, NARROW, stop_after)
    second = carried_out(monkeypatch, plan, results, NARROW)
    assert (first + second, carried_out(monkeypatch, plan, results, NARROW)) == (10, 0)


def test_a_block_that_was_begun_is_made_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    longer = plan_of(tmp_path, 6, cases=TWO_CASES)
    results = new_set(tmp_path, longer)
    assert carried_out(monkeypatch, longer, results, NARROW, 11) == 11
    adaptive = plan_of(tmp_path, cases=TWO_CASES)
    assert carried_out(monkeypatch, adaptive, results, NARROW) == 1


def test_a_set_grows_and_keeps_its_runs(tmp_path: Path) -> None:
    small, large = plan_of(tmp_path, 2), plan_of(tmp_path, 5)
    results = new_set(tmp_path, small)
    assert grows(results.plan, large, set())
    assert not grows(results.plan, large, {"a run of another plan"})
    assert not grows(large.to_json(), small, set())
    results.grow(large)
    again = ResultSet.open(results.path)
    assert again.same_plan(large)
    assert not again.same_plan(small)
    assert again.plan["repeat"] == 5


def test_a_set_that_stopped_early_grows_from_where_it_is(tmp_path: Path) -> None:
    adaptive, fixed = plan_of(tmp_path), plan_of(tmp_path, 6)
    made = {run.run_id for run in fixed.runs if run.block <= 5}
    assert grows(adaptive.to_json(), fixed, made)
    assert not grows(adaptive.to_json(), plan_of(tmp_path, 4), made)
    assert not grows(adaptive.to_json(), plan_of(tmp_path, 2), set())


@pytest.mark.parametrize("change", [{"seed": 2}, {"name": "other"}, {"cases": TWO_CASES}])
def test_only_repetitions_grow(tmp_path: Path, change: dict[str, Any]) -> None:
    small = plan_of(tmp_path, 2)
    assert not grows(small.to_json(), plan_of(tmp_path, 5, **change), set())
    assert not grows({}, small, set())


def test_a_smallest_effect_changes_no_run(tmp_path: Path) -> None:
    one = plan_of(tmp_path, 2)
    other = plan_of(tmp_path, 2, checks=experiment.NO_NOISE_LIMITS | {"smallest_effect": "2%"})
    assert one.plan_hash == other.plan_hash
    assert yaml.safe_load((tmp_path / "small.yaml").read_text())["checks"]["smallest_effect"] == "2%"
