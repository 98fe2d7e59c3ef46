"""Shares that hosts made by themselves, merged: every block of one host, and an account of who made what."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.places.fleet.split import share_of, units_of
from harness.plan import Plan, Run
from harness.store import ResultSet, RunRecord
from tests import command, experiment

MANIFEST = {"software": {"pollbench": "1"}, "kernel": {"release": "6.18"}, "cpu": {"model": "x"}}


def the_plan(home: Path, **changes: object) -> Plan:
    cases = {"base": {}, "busy": {"settings": {"*": {"busy_poll": {"usecs": 50}}}}}
    sizes = {"workload.size": ["64B", "128B", "256B"]}
    return experiment.plan(home, **({"cases": cases, "sweep": sizes, "repeat": 4} | changes))


def record(run: Run, host: str, second: int = 0) -> RunRecord:
    return RunRecord(
        run_id=run.run_id,
        case=run.cell.case,
        factors=dict(run.cell.factors),
        block=run.block,
        order=run.order,
        verdict="valid",
        started_utc=f"2026-01-01T00:00:{second:02d}Z",
        environment={"host": host, "place": "host"},
        metrics={"rtt_p50_us": 10.0 + run.block, "requests": 1000},
    )


def a_share(home: Path, plan: Plan, number: int, of: int, host: str, most: int = 99, **manifest: object) -> ResultSet:
    """A set as `run --share NUMBER/OF` on a host leaves it, with at most so many runs."""
    base = home / f"share-{number}-of-{of}"
    document = MANIFEST | {"share": {"number": number, "of": of}} | manifest
    results = ResultSet.create(base, plan.name, "20260101T000000Z", b"x", plan, document)
    for second, run in enumerate(share_of(plan, number, of).runs[:most]):
        results.save_run(record(run, host, second))
    return results


def merged(home: Path) -> ResultSet:
    results = ResultSet.latest(home / "merged", "small")
    assert results is not None
    return results


def test_shares_become_one_set_that_says_who_made_what(tmp_path: Path) -> None:
    plan = the_plan(tmp_path)
    for number in (1, 2, 3):
        a_share(tmp_path / "out", plan, number, 3, f"h{number}")
    done = command.call("merge", tmp_path / "out", "-o", tmp_path / "merged")
    assert done.returncode == 0, done.stderr
    results = merged(tmp_path)
    assert results.same_plan(plan)
    assert {record.run_id for record in results.records()} == {run.run_id for run in plan.runs}
    assert not (results.path / "incoming").exists()
    hosts = {record.run_id: record.environment["host"] for record in results.records()}
    assert all(len({hosts[run.run_id] for run in runs}) == 1 for runs in units_of(plan).values())
    parts = results.manifest["merged"]
    assert [(part["share"], part["hosts"], part["runs"]) for part in parts] == [
        ("1/3", ["h1"], 8),
        ("2/3", ["h2"], 8),
        ("3/3", ["h3"], 8),
    ]
    assert results.manifest["hosts"]["h2"] == {"kernel": {"release": "6.18"}, "cpu": {"model": "x"}}
    assert [line for line in done.stderr.splitlines() if line.startswith("h")] == [f"h{n}: 8 runs" for n in (1, 2, 3)]
    # Merged again it is of the same shares, not of the merged set too.
    again = command.call("merge", tmp_path, "-o", tmp_path / "merged", "--json")
    assert again.returncode == 0, again.stderr
    assert len(json.loads(again.stdout)["cells"]) == 6


def test_what_is_missing_is_named_by_its_share(tmp_path: Path) -> None:
    plan = the_plan(tmp_path)
    a_share(tmp_path / "out", plan, 1, 3, "h1", most=5)
    whole = a_share(tmp_path / "out", plan, 3, 3, "h3")
    whole.save_run(replace(whole.records()[0], verdict="suspect"), replace=True)
    done = command.call("merge", tmp_path / "out", "-o", tmp_path / "merged")
    assert done.returncode == 1
    # Not by what was typed: merging makes no runs.
    assert "to make it again: by their shares, with --resume --redo suspect,failed; then merge again" in done.stderr
    assert "share 1/3: 3 of 8 runs are missing" in done.stderr
    assert "share 2/3: 8 of 8 runs are missing" in done.stderr
    assert "11 of 24 runs are missing; the shares that owe them make them with --resume" in done.stderr


def test_of_a_block_that_two_hosts_have_made_the_one_with_more_of_it_counts(tmp_path: Path) -> None:
    """A share that was requeued on another host, and was begun there in another directory."""
    plan = the_plan(tmp_path)
    a_share(tmp_path / "first", plan, 1, 1, "h1", most=7)
    a_share(tmp_path / "second", plan, 1, 1, "h2")
    done = command.call("merge", tmp_path / "first", tmp_path / "second", "-o", tmp_path / "merged")
    assert done.returncode == 0, done.stderr
    hosts = {record.run_id: record.environment["host"] for record in merged(tmp_path).records()}
    assert len(hosts) == 24
    assert all(len({hosts[run.run_id] for run in runs}) == 1 for runs in units_of(plan).values())
    assert "left out: of their blocks another host has made as many or more" in done.stderr


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ("plan", "another plan (the file, or --set/--case/--repeat/--seed, differ)"),
        ("version", "another version of pollbench"),
    ],
)
def test_sets_that_do_not_belong_together_are_refused(tmp_path: Path, other: str, reason: str) -> None:
    plan = the_plan(tmp_path)
    a_share(tmp_path / "out", plan, 1, 2, "h1")
    changed = the_plan(tmp_path, seed=9) if other == "plan" else plan
    software = {"pollbench": "2" if other == "version" else "1"}
    a_share(tmp_path / "out", changed, 2, 2, "h2", software=software)
    done = command.call("merge", tmp_path / "out", "-o", tmp_path / "merged")
    assert done.returncode == 2
    assert reason in done.stderr
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("share", ["0/4", "5/4", "1", "a/b", "1/4/2", "1/0"])
def test_a_share_that_is_none_is_refused(tmp_path: Path, share: str) -> None:
    done = command.call("run", experiment.write(tmp_path), "--share", share)
    assert done.returncode == 2
    assert "is not K/N, with K from 1 to N" in done.stderr


def test_without_a_set_or_a_directory_it_says_so(tmp_path: Path) -> None:
    for directory, reason in ((tmp_path, "there is no result set"), (tmp_path / "no", "no such directory")):
        done = command.call("merge", directory)
        assert done.returncode == 2
        assert reason in done.stderr
