"""A plan tells beforehand which programs of others are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.run import capabilities
from tests import experiment

ENDS = {"from": "client", "to": "server"}
FIGURES = {"x": {"json": "y"}}


@pytest.mark.parametrize(
    ("workload", "programs"),
    [
        ({"kind": "load"}, []),
        ({"kind": "sockperf"}, [("sockperf", "sockperf")]),
        ({"kind": "memcached"}, [("memcached", "memcached")]),
        ({"kind": "netperf"}, [("netserver", "netperf"), ("netperf", "netperf")]),
        ({"kind": "command", "client": "no-such-thing -x", "figures": FIGURES}, [("no-such-thing", "")]),
    ],
)
def test_programs_of_a_cell(tmp_path: Path, workload: dict[str, Any], programs: list[tuple[str, str]]) -> None:
    plan = experiment.plan(tmp_path, workload=workload | ENDS)
    assert capabilities.programs(plan.cells[0].spec) == programs


def test_a_missing_one_is_told_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "of_this_host", lambda: {})
    contention = {"on": "0", "stress-ng": "cpu"}
    plan = experiment.plan(tmp_path, workload={"kind": "sockperf"} | ENDS, contention=contention)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert capabilities.lacks(plan.cells[0].spec) == [
        "there is no program sockperf; install it: apt install sockperf",
        "there is no program stress-ng; install it: apt install stress-ng",
    ]


def test_a_program_of_a_command_has_no_package_that_is_known(tmp_path: Path) -> None:
    workload = {"kind": "command", "server": "serve -x", "port": 7, "client": "ask", "figures": FIGURES} | ENDS
    plan = experiment.plan(tmp_path, workload=workload)
    assert capabilities.programs(plan.cells[0].spec) == [("serve", ""), ("ask", "")]


def test_what_a_cell_needs_of_its_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topology = experiment.document()["topology"]
    assert capabilities.needs(experiment.plan(tmp_path).cells[0].spec) == ["load-generator", "netns", "veth"]
    shape = {"rate": "10mbit", "delay": "5ms"}
    links = [{"between": ["client", "server"], "shape": shape}]
    settings = {"*": {"busy_poll": {"usecs": 50, "prefer": True}}, "server": {"cgroup": {"weight": 50}}}
    cell = experiment.plan(tmp_path, topology=topology | {"links": links, "family": "ipv6"}, settings=settings).cells[0]
    monkeypatch.setattr(capabilities, "of_this_host", lambda: {"qdisc:netem": "it has none"})
    qdiscs = ["qdisc:bfifo", "qdisc:htb", "qdisc:netem"]
    wanted = ["load-generator", "netns", "veth", *qdiscs, "ipv6", "veth-napi"]
    assert capabilities.needs(cell.spec) == [*wanted, "busy-poll", "prefer-busy-poll", "cgroup-cpu"]


def test_what_was_tried_and_does_not_work_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = {"netns": "not permitted", "veth": "not tried: no namespace", "qdisc:netem": "no such qdisc"}
    monkeypatch.setattr(capabilities, "of_this_host", lambda: lacking)
    topology = experiment.document()["topology"]
    links = [{"between": ["client", "server"], "shape": {"delay": "5ms"}}]
    reasons = capabilities.lacks(experiment.plan(tmp_path, topology=topology | {"links": links}).cells[0].spec)
    assert reasons[0] == "netns: not permitted"
    assert len(reasons) == 2 and reasons[1].startswith("no such qdisc; ")
