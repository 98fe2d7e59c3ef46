"""When the contention was not the one declared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.kernel.proc import ProcessUsage
from harness.run.contention import duty_doubts, takers
from harness.run.cpu_set import CpuInterference
from harness.run.outcome import ProgramOutcome
from tests import experiment
from tests.unit.test_metrics import SECOND, delta, host, outcome

BUSY, IDLE = {0: 0.0, 1: 0.0}, {0: 0.5, 1: 0.5}


@pytest.mark.parametrize(
    ("contention", "achieved", "idle", "reason"),
    [
        ({"load": "50%"}, 46.0, BUSY, ""),
        ({"load": "50%"}, 54.0, BUSY, ""),
        ({"load": "50%"}, 75.0, BUSY, "had 75 % of a CPU each, 50 % were declared; limit 10% of what is declared"),
        # The limit is relative, and less than was declared is not what was declared, whoever took it.
        ({"load": "10%"}, 11.2, BUSY, "had 11 % of a CPU each, 10 % were declared"),
        ({"load": "10%"}, 3.6, BUSY, "; on their CPUs ran meanwhile: server 59 %, cc1 2 %; limit"),
        ({"load": "90%"}, 41.0, BUSY, "; on their CPUs ran meanwhile: server 59 %, cc1 2 %; limit"),
        ({"load": "10%"}, 3.6, IDLE, "though their CPUs were idle for 50 % of a CPU each"),
        # Others wanted the CPU: that is what contention is.
        ({"load": "100%"}, 30.0, BUSY, ""),
        ({"load": "100%"}, 30.0, IDLE, "had 30 % of a CPU each, 100 % were declared, though their CPUs were idle"),
        # Two on one CPU cannot have more than half of it each.
        ({"load": "100%", "threads": 2}, 49.0, IDLE, ""),
        # Half a period more or less in so short a window is no error.
        ({"load": "50%", "period": "1s"}, 100.0, BUSY, ""),
        ({"load": "0%"}, 0.0, IDLE, ""),
        ({"load": "50%"}, None, IDLE, ""),
    ],
)
def test_hogs_that_keep_their_duty_and_hogs_that_do_not(
    tmp_path: Path, contention: dict[str, Any], achieved: float | None, idle: dict[int, float], reason: str
) -> None:
    plan = experiment.plan(tmp_path, contention={"on": "server.cpus"} | contention)
    found = duty_doubts(plan.cells[0].spec, achieved, idle, 1.0, {"cc1": 2.0, "server": 59.0, "client": 0.1})
    assert len(found) == (1 if reason else 0)
    assert reason in "".join(found)


def test_without_contention_there_is_no_duty(tmp_path: Path) -> None:
    assert duty_doubts(experiment.plan(tmp_path).cells[0].spec, 0.0, IDLE, 1.0) == []


def test_what_hogs_lost_is_told_of_those_that_ran_where_they_run(tmp_path: Path) -> None:
    spec = experiment.plan(tmp_path, contention={"on": "server.cpus", "load": "50%"}).cells[0].spec
    strangers = CpuInterference(by_cpu={0: SECOND, 1: SECOND // 10}, worst_on={0: "ld (pid 1)", 1: "cc1 (pid 2)"})
    programs = {"client": ProcessUsage(cpu_ns=SECOND), "server": ProcessUsage(cpu_ns=SECOND // 2)}
    counted = delta({"": host(interference=strangers)}, programs=programs)
    labels = tuple(ProgramOutcome(label, label, "blocking", {}) for label in ("client", "server"))
    assert takers(spec, replace(outcome(delta=counted), programs=labels)) == {
        "server": 50.0,
        "other programs, most of it cc1 (pid 2), on CPU 1": 10.0,
    }
