"""The plan is a pure value: stable ids, complete seeded blocks, equal after a round trip through JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.plan import Plan, estimate_s, load_experiment, make_plan

ROOT = Path(__file__).parent.parent.parent
QUICKSTART = ROOT / "experiments" / "quickstart.yaml"


def quickstart(**how: Any) -> Plan:
    return make_plan(load_experiment(QUICKSTART), **how)


def ids(plan: Plan, blocks: int) -> list[str]:
    return [run.run_id for run in plan.runs if run.block <= blocks]


def test_the_same_seed_gives_the_same_plan() -> None:
    assert quickstart() == quickstart()
    assert quickstart().plan_hash == quickstart().plan_hash


def test_another_seed_gives_another_order_of_the_same_runs() -> None:
    first, second = quickstart(seed=1), quickstart(seed=2)
    assert ids(first, 5) != ids(second, 5)
    assert sorted(ids(first, 5)) == sorted(ids(second, 5))
    assert first.plan_hash != second.plan_hash


def test_every_block_holds_every_cell_once() -> None:
    plan = quickstart()
    assert [run.order for run in plan.runs] == list(range(40))
    for block in range(1, 6):
        cells = [run.cell.cell_id for run in plan.runs if run.block == block]
        assert sorted(cells) == sorted(cell.cell_id for cell in plan.cells)
    orders = {tuple(run.cell.cell_id for run in plan.runs if run.block == block) for block in range(1, 6)}
    assert len(orders) > 1


def test_growing_repeat_keeps_ids_and_earlier_blocks() -> None:
    assert ids(quickstart(repeat=9), 5) == ids(quickstart(repeat=5), 5)


def test_choosing_cases_keeps_ids_and_order() -> None:
    chosen = quickstart(cases=["base", "busypoll50"])
    assert {cell.case for cell in chosen.cells} == {"base", "busypoll50"}
    assert ids(chosen, 5) == [run.run_id for run in quickstart().runs if run.cell.case in ("base", "busypoll50")]


def test_ids_follow_what_is_done_not_how_it_is_written(tmp_path: Path) -> None:
    text = QUICKSTART.read_text().replace("topology: pair", f"topology: {ROOT}/topologies/pair.yaml")
    same, other = tmp_path / "same.yaml", tmp_path / "other.yaml"
    same.write_text(text.replace("200ms", "0.2s").replace("description: inter", "description: Inter"))
    other.write_text(text.replace("200ms", "201ms"))
    assert ids(make_plan(load_experiment(same)), 5) == ids(quickstart(), 5)
    assert not set(ids(make_plan(load_experiment(other)), 5)) & set(ids(quickstart(), 5))


def test_sequential_runs_cell_after_cell() -> None:
    plan = make_plan(load_experiment(QUICKSTART, [("order", "sequential")]))
    assert [run.cell.cell_id for run in plan.runs] == [cell.cell_id for cell in plan.cells for _ in range(5)]
    assert [run.block for run in plan.runs[:5]] == [1, 2, 3, 4, 5]


def test_json_round_trip() -> None:
    plan = make_plan(load_experiment(QUICKSTART, [("settings.*.process.policy", "batch")]))
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize("damage", ["format", "cells", "runs", "document", "plan_hash"])
def test_a_damaged_plan_is_refused(damage: str) -> None:
    data = quickstart().to_json()
    del data[damage]
    with pytest.raises(InputError, match="read a plan"):
        Plan.from_json(data, "x/plan.json")


def test_a_plan_whose_cell_was_edited_is_refused() -> None:
    data = json.loads(json.dumps(quickstart().to_json()))
    data["cells"][0]["document"]["workload"]["size"] = "65B"
    with pytest.raises(InputError, match="is not what its name says"):
        Plan.from_json(data)


def test_bad_choices_are_refused() -> None:
    with pytest.raises(InputError, match='did you mean "busypoll50"'):
        quickstart(cases=["busypol50"])
    with pytest.raises(InputError, match="--repeat"):
        quickstart(repeat=0)
    with pytest.raises(InputError, match="--repeat"):
        quickstart(repeat=10**9)


def test_the_estimate_counts_every_run() -> None:
    assert estimate_s(quickstart()) == pytest.approx(40 * 1.9, rel=0.05)
