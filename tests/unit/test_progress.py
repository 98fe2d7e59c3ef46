"""What a person is told while runs are made: what is going on, and how long it will take."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.cli import progress
from harness.places.vm.boots import expected_s, takes_s
from harness.plan import load_experiment, make_plan
from harness.store import RunRecord
from harness.store.record import Verdict
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
    assert capsys.readouterr().err.endswith("[==========          ] 5/10  booting a guest with kernel 6.12\n")


def drawn(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What stands on the terminal after the last redraw."""
    text = capsys.readouterr().err.replace("\r\x1b[K", "")
    return re.split(r"\x1b\[\d+A(?:\x1b\[J)?", text)[-1].splitlines()


def test_a_terminal_has_a_table_of_cells_that_fills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "is_live", lambda stream: True)
    monkeypatch.setattr(progress, "columns", lambda: 80)
    cases = {"a": {}, "b": {"workload": {"size": "65B"}}}
    plan = make_plan(load_experiment(experiment.write(tmp_path, cases=cases, repeat=6)))
    shown = progress.Progress(plan=plan)
    for number, run in enumerate(plan.runs):
        shown.starting(run, number, len(plan.runs))
        suspect = run.cell.case == "b" and run.block == 6
        verdict: Verdict = "suspect" if suspect else "valid"
        why = ("a reason that is far too long for a line of a terminal " * 3,) if suspect else ()
        shown.finished(
            run, RunRecord(run.run_id, run.cell.case, verdict, reasons=why, metrics={"rtt_p50_us": 50.0 + run.block})
        )
        if suspect:
            # What scrolls away is a line, not a paragraph.
            text = re.sub(r"\x1b\[\d*[A-Z]", "", capsys.readouterr().err)
            assert max(map(len, text.splitlines())) < 80 and "suspect" in text
    shown.starting(plan.runs[-1], 11, 12)
    head, one, other, bar = drawn(capsys)
    assert head.split() == ["case", "runs", "p50", "us", "[interval]", "not", "counted"]
    assert one.split() == ["a", "6/6", "53.5", "[51.0..56.0]"]
    assert other.split() == ["b", "5/6", "53.0", "[51.0..55.0]", "1", "suspect"]
    assert bar.startswith("[==================  ] 12/12")
    shown.__exit__()
    assert drawn(capsys) == []
    # A set that is resumed begins with what is there; of more cells than lines those that were measured last.
    table = progress.CellTable(plan, [RunRecord(plan.runs[0].run_id, "a", "valid", metrics={"rtt_p50_us": 3.0})])
    assert sum(" 1/6 " in line and " 3.00" in line for line in table.lines(80, 24)) == 1
    assert table.lines(80, 4)[-1] == "and 1 more cells"


def test_only_the_first_boot_of_a_machine_takes_its_time_where_the_others_are_resumed(tmp_path: Path) -> None:
    sweep = {"vm.cpus": [2, 4]}
    plan = make_plan(load_experiment(experiment.write(tmp_path, sweep=sweep, repeat=3)))
    booted, resumed = takes_s(plan), takes_s(plan, snapshots=True)
    first = takes_s(plan, 1)
    assert takes_s(plan, 1, snapshots=True) == first
    assert booted == pytest.approx(3 * first)
    assert first < resumed < booted
