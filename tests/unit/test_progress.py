"""What a person is told while runs are made: what is going on, and how long it will take."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.cli import progress
from harness.places.vm.boots import expected_s, takes_s
from harness.plan import load_experiment, make_plan
from harness.store import RunRecord
from tests import experiment

RECORD = RunRecord("a", "base", "valid")


def test_a_boot_is_not_taken_for_the_length_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = 0.0
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock))
    cases = {"a": {}, "b": {"workload": {"size": "65B"}}}
    plan = make_plan(load_experiment(experiment.write(tmp_path, cases=cases, repeat=2)))
    expected = expected_s(plan.runs, "tcg-virtual")
    assert sum(expected.values()) == pytest.approx(takes_s(plan)) == pytest.approx(2 * takes_s(plan, 1))
    # Everything takes longer than on an idle machine.
    left = 1.9 * sum(expected.values())
    shown = progress.Progress(expected_s=expected)
    for number, run in enumerate(plan.runs):
        shown.starting(run, number, len(plan.runs))
        clock += 1.9 * expected[run.run_id]
        left -= 1.9 * expected[run.run_id]
        shown.finished(run, RECORD)
        assert capsys.readouterr().err.endswith(f"  {round(left)} s left\n")


def test_a_terminal_shows_that_a_guest_boots(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "is_live", lambda stream: True)
    progress.Progress().booting("6.12", 5, 10)
    assert capsys.readouterr().err.endswith("[==========          ] 5/10  booting a guest with kernel 6.12")


def test_only_the_first_boot_of_a_machine_takes_its_time_where_the_others_are_resumed(tmp_path: Path) -> None:
    sweep = {"vm.cpus": [2, 4]}
    plan = make_plan(load_experiment(experiment.write(tmp_path, sweep=sweep, repeat=3)))
    booted, resumed = takes_s(plan), takes_s(plan, snapshots=True)
    first = takes_s(plan, 1)
    assert takes_s(plan, 1, snapshots=True) == first
    assert booted == pytest.approx(3 * first)
    assert first < resumed < booted
