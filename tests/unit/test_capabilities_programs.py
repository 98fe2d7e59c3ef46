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
