"""Several workloads in one file: which is measured, whom the knobs reach, how a sweep names one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.plan import Plan, load_experiment, make_plan
from harness.spec.load import Experiment
from tests import experiment

NODES = {"nodes": {"a": {}, "b": {}, "c": {}}, "links": [{"between": ["a", "b"]}, {"between": ["b", "c"]}]}
FAST = {"kind": "load", "from": "a", "to": "b", "rate": 1000}
BULK = {"kind": "iperf3", "from": "c", "to": "b"}


def load(tmp_path: Path, **changes: Any) -> Experiment:
    changes = {"topology": NODES, "workload": None} | changes
    return load_experiment(experiment.write(tmp_path, **changes))


def test_the_first_is_measured_unless_another_says_so(tmp_path: Path) -> None:
    (cell,) = load(tmp_path, workloads=[FAST, BULK]).cells
    assert (cell.spec.workload.kind, [each.kind for each in cell.spec.background]) == ("load", ["iperf3"])
    (cell,) = load(tmp_path, workloads=[FAST, BULK | {"measured": True}]).cells
    assert cell.spec.workload.kind == "iperf3"
    (cell,) = load(tmp_path, workloads=[FAST | {"measured": "off"}, BULK]).cells
    assert cell.spec.workload.kind == "iperf3"


def test_knobs_reach_the_nodes_of_every_workload(tmp_path: Path) -> None:
    (cell,) = load(tmp_path, workloads=[FAST, BULK], settings={"*": {"busy_poll": {}}}).cells
    assert cell.spec.actors() == ("a", "b", "c")
    assert set(cell.spec.settings) == {"a", "b", "c"}


def test_a_sweep_names_a_workload_by_its_number(tmp_path: Path) -> None:
    sweep = {"workloads.1.rate": ["1gbit", "2gbit"], "workloads.0.rate": [1000, 2000]}
    cells = load(tmp_path, workloads=[FAST, BULK], sweep=sweep).cells
    rates = [(cell.spec.background[0].described()["loop"], cell.spec.workload) for cell in cells]
    assert [getattr(workload, "rate_rps", None) for _, workload in rates] == [1000, 2000, 1000, 2000]
    assert {loop for loop, _ in rates} == {"open"}


def test_a_plan_with_a_background_goes_through_json(tmp_path: Path) -> None:
    plan = make_plan(load(tmp_path, workloads=[FAST, BULK]))
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workloads": [FAST], "workload": FAST}, 'workloads: there is "workload" besides'),
        ({"workloads": []}, "workloads: it is empty; expected at least 1"),
        ({"workloads": [FAST | {"measured": False}]}, "workloads.0.measured: nothing is measured"),
        ({"workloads": [FAST, BULK | {"to": "x"}]}, 'workloads.1.to: there is no node "x"'),
        ({"workloads": [FAST, BULK | {"rte": 1}]}, 'unknown key "rte" in workloads.1; did you mean "rate"?'),
        ({"workloads": [{"from": "a", "to": "b"}]}, "workloads.0: the key 'kind' is missing"),
        ({"workload": FAST | {"mode": "x"}}, 'unknown key "mode" in workload; known: arrivals'),
        (
            {"workload": FAST, "contention": {"on": "0", "overlap": 1}},
            "contention.overlap: there is no node to overlap with",
        ),
        (
            {
                "workload": FAST,
                "topology": NODES | {"nodes": {"a": {"cpus": "0"}, "b": {}, "c": {}}},
                "contention": {"on": "a.cpus", "overlap": 2},
            },
            'contention.overlap: node "a" has no more than 1',
        ),
    ],
)
def test_mistakes_have_their_place(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, **changes)
    assert message in caught.value.line()
    assert "small.yaml:" in caught.value.line()
