"""Runs that noise spoilt are made again at once, paid from one account, kept on record, and counted everywhere."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.compare import compare_cases
from harness.analysis.summary import overview
from harness.cli.carry_out import carry_out, open_set, report, spoilt
from harness.cli.progress import Progress
from harness.errors import EXIT_NOT_VALID, EXIT_OK, InputError
from harness.places.place import Backlog
from harness.places.redo import IN_A_ROW, MOST_ATTEMPTS, Redo
from harness.plan import Plan, Run, again_s, estimate_s, load_experiment
from harness.store import ResultSet, RunRecord
from harness.tables.source import load_source
from tests import experiment
from tests.fakeplace import FakePlace
from tests.unit import synthetic

STOLEN = "the hypervisor stole 7.0 % of the CPU set; limit 2%"
CASES: dict[str, dict[str, Any]] = {"base": {}, "busypoll50": {"settings": {"*": {"busy_poll": {"usecs": 50}}}}}


class Noisy:
    """Makes records, of which those are spoilt for which `noise` says True, in the order in which they are made."""

    def __init__(self, noise: Iterable[bool], wall_s: float = 0.3) -> None:
        self._noise: Iterator[bool] = iter(noise)
        self.wall_s = wall_s

    def __call__(self, run: Run) -> RunRecord:
        made = synthetic.record(run.cell.case, block=run.block, order=run.order)
        made = replace(made, run_id=run.run_id, factors={}, wall_s=self.wall_s)
        if not next(self._noise, False):
            return made
        return replace(made, verdict="suspect", reasons=(STOLEN,), noise=("steal",))


def carried_out(home: Path, place: FakePlace, plan: Plan, **changes: Any) -> tuple[ResultSet, int]:
    arguments = argparse.Namespace(
        **{"output": str(home / "results"), "resume": False, "redo": (), "set": []} | changes
    )
    results = open_set(place, plan, b"name: small", arguments)
    interrupted = carry_out(place, plan, results, Progress())
    return results, report(plan, results, interrupted, as_json=True)


def test_a_spoilt_run_is_made_again_at_once_and_its_first_attempt_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = experiment.plan(tmp_path, cases=CASES, repeat=3)
    place = FakePlace(Noisy([False, True, True, False, True]))
    results, code = carried_out(tmp_path, place, plan)
    ids = [run.run_id for run in plan.runs]
    assert (code, place.made) == (EXIT_OK, [ids[0], ids[1], ids[1], ids[1], ids[2], ids[2], *ids[3:]])
    told = capsys.readouterr()
    assert "pollbench: runs: 3 made again for noise, in 1 s" in told.err
    assert f"made again: {STOLEN}" in told.err
    assert json.loads(told.out)["runs"]["made_again"] == 3

    records = {record.run_id: record for record in results.records()}
    twice = records[ids[1]]
    assert (twice.attempt, twice.rejected, twice.again_s) == (3, (STOLEN, STOLEN), 0.6)
    assert (records[ids[0]].attempt, records[ids[0]].rejected) == (1, ())
    kept = sorted(path.name for path in (results.path / "runs" / ids[1]).iterdir())
    assert kept == [
        "client.out", "rejected-1.client.out", "rejected-1.json", "rejected-2.client.out", "rejected-2.json", "run.json"
    ]  # fmt: skip
    first = json.loads((results.path / "runs" / ids[1] / "rejected-1.json").read_bytes())
    assert (first["verdict"], first["attempt"], first["noise"]) == ("suspect", 1, ["steal"])


def test_every_table_counts_what_was_made_again_once(tmp_path: Path) -> None:
    plan = experiment.plan(tmp_path, cases=CASES, repeat=6)
    quiet, _ = carried_out(tmp_path / "quiet", FakePlace(Noisy([])), plan)
    noisy, _ = carried_out(tmp_path / "noisy", FakePlace(Noisy([True, False] * 3)), plan)
    for name in (".", "runs.csv"):
        source, before = load_source(noisy.path / name), load_source(quiet.path / name)
        view = overview(source, "base")
        assert (view.made_again, view.missing, view.verdicts["valid"], view.verdicts["suspect"]) == (3, 0, 12, 0)
        # The same runs count, in the same pairs.
        assert [cell.changes for cell in view.cells] == [cell.changes for cell in overview(before, "base").cells]
        compared = compare_cases(source, "base")
        assert sum(side.made_again for side in compared.inputs) == 3
        assert all(row.change.difference and row.change.difference.paired for row in compared.rows)


@pytest.mark.parametrize(
    ("noise", "redo", "why", "made_again"),
    [
        ([True] * 99, "100%", f"{MOST_ATTEMPTS} attempts were spoilt", None),
        ([True] * 99, "100%", f"{IN_A_ROW} attempts in a row were spoilt, so the noise does not pass", 4),
        ([True, False] * 99, "50%", "s for that (checks.redo) are spent", 5),
        ([True] * 99, "0%", "", 0),
    ],
)
def test_it_ends_and_says_why(tmp_path: Path, noise: list[bool], redo: str, why: str, made_again: int | None) -> None:
    plan = experiment.plan(tmp_path, cases=CASES, repeat=5, checks={"redo": redo})
    results, code = carried_out(tmp_path, FakePlace(Noisy(noise, wall_s=estimate_s(plan) / len(plan.runs))), plan)
    records = results.records()
    left = [record for record in records if record.verdict == "suspect"]
    assert code == (EXIT_NOT_VALID if left else EXIT_OK)
    assert any(why in reason for record in left for reason in record.reasons)
    assert all(len(record.reasons) == (2 if why else 1) for record in left)
    assert sum(record.again_s for record in records) <= again_s(plan)
    if made_again is not None:
        assert sum(record.attempt - 1 for record in records) == made_again
    assert ("stay in doubt (not made again: " in spoilt(records)) is bool(why)


def test_a_quiet_run_ends_the_row_of_spoilt_ones(tmp_path: Path) -> None:
    plan = experiment.plan(tmp_path, cases=CASES, repeat=9, checks={"redo": "100%"})
    # Ten attempts in a storm: of two runs four and two, then none again; a run that is quiet; and a spoilt one.
    place = FakePlace(Noisy([True] * 10 + [False, True, False]))
    results, _ = carried_out(tmp_path, place, plan)
    assert [record.attempt for record in results.records()][:8] == [4, 2, 1, 1, 1, 1, 1, 2]


@pytest.mark.parametrize("figures", [{"rtt_p50_us": 1e6, "lost": 999}, {"rtt_p50_us": None, "requests": 0}])
def test_no_figure_has_a_run_made_again(tmp_path: Path, figures: dict[str, Any]) -> None:
    """Only noise does: neither latencies, nor losses, nor another doubt, nor a failure."""
    plan = experiment.plan(tmp_path, repeat=2)
    made = Noisy([])(plan.runs[0])
    for verdict in ("valid", "suspect", "inert", "failed", "skipped"):
        record = replace(made, verdict=verdict, metrics=made.metrics | figures, reasons=("3 of 4 requests were lost",))
        assert Redo(plan).why_not(plan.runs[0], record, 1) == ""
        # And noise does, whatever else there is.
        assert Redo(plan).why_not(plan.runs[0], replace(record, noise=("clock",)), 1) is None


def test_what_was_spent_before_an_interruption_is_spent(tmp_path: Path) -> None:
    plan = experiment.plan(tmp_path, cases=CASES, repeat=5)
    wall_s = 0.5 * again_s(plan)
    # Killed while the first run was made again: what was spoilt is there, and counts as made.
    first, _ = carried_out(tmp_path, FakePlace(Noisy([True], wall_s), stop_after=1), plan)
    assert [record.verdict for record in first.records()] == ["suspect"]
    place = FakePlace(Noisy([True, False], wall_s), redo=("suspect",), stop_after=2)
    again, _ = carried_out(tmp_path, place, plan, resume=True)
    assert [(record.attempt, record.verdict) for record in again.records()] == [(3, "valid")]
    last, _ = carried_out(tmp_path, FakePlace(Noisy([True, False] * 5, wall_s)), plan, resume=True)
    reasons = [record.reasons[-1] for record in last.records() if record.verdict == "suspect"]
    assert reasons
    assert all("(checks.redo) are spent" in reason for reason in reasons)


def test_a_place_may_be_unable_to_make_a_run_again(tmp_path: Path) -> None:
    plan = experiment.plan(tmp_path, repeat=1)
    results = ResultSet.create(tmp_path, plan.name, "20261122T101500Z", b"", plan, {})
    backlog = Backlog(plan, results)
    record, again = backlog.save(Noisy([True], 0.01)(plan.runs[0]), None, {}, why_not="two hosts make it together")
    assert not again
    assert record.reasons[-1] == "not made again: two hosts make it together"


def test_waits_in_vain_get_shorter_and_are_paid_from_the_same_account(tmp_path: Path) -> None:
    plan = experiment.plan(tmp_path, cases=CASES, repeat=100)
    account, run = Redo(plan), plan.runs[0]
    made = Noisy([])(run)

    def waited(share: float) -> float:
        patience_s = account.patience_s(run)
        account.why_not(run, replace(made, metrics={"quiet_wait_s": share * patience_s}), 1)
        return patience_s

    assert [waited(1.0), waited(1.0), waited(1.0), waited(0.5), waited(0.0), waited(1.0)] == [10, 5, 2.5, 1.25, 10, 10]
    total = again_s(plan)
    for _ in range(200):
        waited(0.9)
    assert account.patience_s(run) <= 0.001 * total
    off = experiment.plan(tmp_path, checks={"redo": "0%"})
    assert Redo(off).patience_s(off.runs[0]) == 0


def test_the_share_is_checked_with_its_place_and_changes_no_cell(tmp_path: Path) -> None:
    limits = experiment.NO_NOISE_LIMITS
    usual, off = (experiment.plan(tmp_path, checks=limits | redo) for redo in ({}, {"redo": "0%"}))
    assert usual.plan_hash == off.plan_hash
    for bad in ("150%", "-1%", "often"):
        path = experiment.write(tmp_path, checks={"redo": bad})
        with pytest.raises(InputError, match="redo") as caught:
            load_experiment(path)
        assert f"{path}:" in caught.value.line()
