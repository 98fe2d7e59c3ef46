"""A plan carried out in any place: what is missing is made, sets are begun and resumed, and the exit code tells."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from harness.cli.carry_out import carry_out, open_set, report
from harness.cli.progress import Progress
from harness.errors import (
    EXIT_HOST_LACKS,
    EXIT_INTERRUPTED,
    EXIT_NOT_VALID,
    EXIT_OK,
    InputError,
    Interrupted,
    PollbenchError,
)
from harness.places.local import Local, Measures, _waiting
from harness.places.place import Backlog
from harness.places.traced import trace_cells
from harness.plan import Plan, Run
from harness.run.measure import Measured
from harness.signals import stop_on_signals
from harness.spec.cells import CellSpec
from harness.store import ResultSet, RunRecord
from harness.store.record import Verdict
from tests import experiment
from tests.fakeplace import FakePlace
from tests.unit import synthetic


class Measuring:
    """Makes records whose verdict is `verdict`, and which say so."""

    def __init__(self, verdict: Verdict = "valid") -> None:
        self.verdict = verdict

    def __call__(self, run: Run) -> RunRecord:
        record = synthetic.record(run.cell.case, block=run.block, order=run.order)
        return replace(record, run_id=run.run_id, factors={}, verdict=self.verdict, reasons=())


def options(home: Path, **changes: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"output": str(home / "results"), "resume": False, "redo": (), "set": []} | changes)


def carried_out(home: Path, place: FakePlace, plan: Plan, **changes: Any) -> tuple[ResultSet, int]:
    """The set, and the exit code, of a plan in that place."""
    results = open_set(place, plan, b"name: small", options(home, **changes))
    interrupted = carry_out(place, plan, results, Progress())
    return results, report(plan, results, interrupted, as_json=True)


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        ("valid", EXIT_OK),
        ("suspect", EXIT_NOT_VALID),
        ("failed", EXIT_NOT_VALID),
        ("inert", EXIT_NOT_VALID),
        ("skipped", EXIT_HOST_LACKS),
    ],
)
def test_the_exit_code_is_that_of_the_worst_verdict(tmp_path: Path, verdict: Verdict, code: int) -> None:
    plan = experiment.plan(tmp_path, repeat=2)
    results, ended = carried_out(tmp_path, FakePlace(Measuring(verdict)), plan)
    assert ended == code
    assert results.manifest["place"] == "fake"
    assert results.manifest["seed"] == plan.seed
    assert (results.path / "runs.csv").read_text().count(f",{verdict},") == 2


def test_what_was_interrupted_is_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = experiment.plan(tmp_path, repeat=3)
    first, code = carried_out(tmp_path, FakePlace(Measuring(), stop_after=1), plan)
    assert code == EXIT_INTERRUPTED
    assert "pollbench: interrupted: SIGINT; go on with --resume" in capsys.readouterr().err
    assert len(first.finished()) == 1
    place = FakePlace(Measuring())
    again, code = carried_out(tmp_path, place, plan, resume=True)
    assert (again.path, code, len(place.made)) == (first.path, EXIT_OK, 2)
    # With more repetitions the set grows; with none left to make nothing is made.
    longer = experiment.plan(tmp_path, repeat=4)
    grown = FakePlace(Measuring())
    assert carried_out(tmp_path, grown, longer, resume=True)[1] == EXIT_OK
    assert len(grown.made) == 1
    nothing = FakePlace(Measuring())
    assert carried_out(tmp_path, nothing, longer, resume=True)[1] == EXIT_OK
    assert nothing.made == []


def test_runs_are_made_again_by_their_verdict(tmp_path: Path) -> None:
    plan = experiment.plan(tmp_path, repeat=2)
    assert carried_out(tmp_path, FakePlace(Measuring("suspect")), plan)[1] == EXIT_NOT_VALID
    place = FakePlace(Measuring(), redo=("suspect",))
    assert carried_out(tmp_path, place, plan, resume=True)[1] == EXIT_OK
    assert len(place.made) == 2


def test_what_was_not_counted_is_said_with_the_command_that_makes_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["pollbench", "run", "my file.yaml", "--resume", "--redo", "inert", "--repeat=3"])
    monkeypatch.setenv("SUDO_UID", "1000")
    plan = experiment.plan(tmp_path, repeat=3)

    def record(run: Run) -> RunRecord:
        verdict: Verdict = "valid" if run.block == 1 else "suspect"
        why = (f"other programs took {run.block}.5 % of a CPU",) if run.block > 1 else ()
        return replace(Measuring(verdict)(run), reasons=why)

    carried_out(tmp_path, FakePlace(record), plan)
    lines = capsys.readouterr().err.splitlines()[-2:]
    assert lines[0].startswith("pollbench: not counted, 2 suspect runs: other programs took ")
    assert lines[0].endswith(".5 % of a CPU (2x)")
    again = "sudo pollbench run 'my file.yaml' --repeat=3 --resume --redo suspect"
    assert lines[1] == f"pollbench: to make them again: {again}"


def test_redo_alone_begins_no_set(tmp_path: Path) -> None:
    plan = experiment.plan(tmp_path, repeat=2)
    with pytest.raises(InputError, match="add --resume"):
        carried_out(tmp_path, FakePlace(Measuring()), plan, redo=("suspect",))
    assert not (tmp_path / "results").exists()


def test_a_run_that_has_gone_is_missed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = experiment.plan(tmp_path, repeat=2)
    place = FakePlace(Measuring())
    results = open_set(place, plan, b"", options(tmp_path))
    assert report(plan, results, None, as_json=True) == EXIT_NOT_VALID
    assert "2 of 2 runs are missing; with --resume they are made" in capsys.readouterr().err


def test_what_cannot_be_resumed_is_refused(tmp_path: Path) -> None:
    plan = experiment.plan(tmp_path, repeat=2)
    with pytest.raises(InputError, match="there is no result set; leave --resume out to begin one"):
        carried_out(tmp_path, FakePlace(Measuring()), plan, resume=True)
    results, _ = carried_out(tmp_path, FakePlace(Measuring()), plan)
    other = experiment.plan(tmp_path, repeat=2, seed=99)
    with pytest.raises(InputError, match="it was made from another plan"):
        carried_out(tmp_path, FakePlace(Measuring()), other, resume=True)
    # A set of another place stays as it is, also where the plan has grown.
    with pytest.raises(InputError, match="it was made elsewhere"):
        longer = experiment.plan(tmp_path, repeat=3)
        carried_out(tmp_path, FakePlace(Measuring(), elsewhere=True), longer, resume=True)
    assert ResultSet.open(results.path).same_plan(plan)
    with pytest.raises(InputError, match="it is no directory; name one with -o"):
        open_set(FakePlace(Measuring()), plan, b"", options(tmp_path, output=str(tmp_path / "small.yaml")))


def test_whose_turn_it_is_is_said_once_however_long_it_takes() -> None:
    said = list[str]()
    with stop_on_signals() as stopper:
        wait = _waiting(stopper, said.append)
        for seconds in (1, 2):
            wait(f"process 7 of root (pollbench run x, since 09:00:00) has held it for {seconds} s")
    assert len(said) == 1 and "process 7 of root" in said[0]


class Told:
    """Writes down what it is told, and what was on the disk then."""

    def __init__(self, results: ResultSet) -> None:
        self.results, self.words = results, list[str]()

    def starting(self, run: Run, number: int, total: int) -> None:
        self.words.append(f"begin {number}: {len(self.results.finished())}")

    def finished(self, run: Run, record: RunRecord) -> None:
        self.words.append(f"end: {len(self.results.finished())}")

    rejected = finished


def test_a_run_is_saved_while_the_next_is_set_up_and_said_to_be_finished_when_it_is_on_the_disk(tmp_path: Path) -> None:
    plan = experiment.plan(tmp_path, repeat=3)
    results = ResultSet.create(tmp_path / "results", "small", "20260101T000000Z", b"x", plan, {})
    told, measured = Told(results), list[int]()

    def take(*_: Any, alone: Callable[[], None]) -> Measured:
        alone()
        measured.append(len(results.finished()))
        raise PollbenchError("measured nothing")

    with stop_on_signals() as stopper:
        Local(stopper, environment={}, take=take).execute(plan, results, told)
    assert measured == [0, 1, 2]
    assert told.words == ["begin 0: 0", "end: 1", "begin 1: 1", "end: 2", "begin 2: 2", "end: 3"]


def test_a_run_that_cannot_be_saved_ends_the_plan_and_is_no_failure_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = experiment.plan(tmp_path, repeat=4)
    results = ResultSet.create(tmp_path / "results", "small", "20260101T000000Z", b"x", plan, {})
    save, begun = results.save_run, list[str]()

    def full(record: RunRecord, *rest: Any, **options: Any) -> Path:
        if record.order == plan.runs[1].order:
            raise PollbenchError("write a run", got="no space left")
        return save(record, *rest, **options)

    def take(spec: CellSpec, *_: Any, alone: Callable[[], None]) -> Measured:
        begun.append("begun")
        alone()
        begun.append("measured")
        raise PollbenchError("measured nothing")

    monkeypatch.setattr(results, "save_run", full)
    with stop_on_signals() as stopper, pytest.raises(PollbenchError, match="write a run: no space left"):
        Local(stopper, environment={}, take=take).execute(plan, results, Told(results))
    assert results.finished() == {plan.runs[0].run_id}
    assert begun == ["begun", "measured"] * 2 + ["begun"]


def test_a_budget_ends_the_runs_as_a_stop_does_and_is_too_small_for_none(tmp_path: Path) -> None:
    plan = experiment.plan(tmp_path, repeat=9)

    def slow(*_: Any, **__: Any) -> None:
        time.sleep(0.4)
        raise PollbenchError("measured nothing")

    with stop_on_signals() as stopper:
        place = Local(stopper, environment={}, take=cast("Measures", slow), budget_s=0.8)
        results = ResultSet.create(tmp_path / "results", "small", "20260101T000000Z", b"x", plan, {})
        with pytest.raises(Interrupted, match=r"the budget of 0\.8 s is spent"), Progress() as progress:
            place.execute(plan, results, progress)
        made = len(results.records())
        assert 1 <= made < 9
        with pytest.raises(InputError, match=r"no run ends within 0\.01 s"), Progress() as progress:
            replace(place, budget_s=0.01).execute(plan, results, progress)
        # What is made again counts as missing.
        again = frozenset({results.records()[0].run_id})
        assert len(Backlog(plan, results, again=again).runs) == 9 - made + 1


@dataclass
class TracedPlace(FakePlace):
    """Whose traced runs are made by the same calls."""

    def tracing(self, plan: Plan) -> TracedPlace:  # it measures nothing
        """Itself."""
        return self


def test_a_trace_without_polls_is_made_again_where_they_are_asked_for(tmp_path: Path) -> None:
    place = TracedPlace(Measuring())
    results = open_set(place, experiment.plan(tmp_path), b"name: small", options(tmp_path))
    asked = [experiment.plan(tmp_path, trace=trace) for trace in ("tail", "tail", "polls", "polls", "tail")]
    for number, plan in enumerate(asked):
        with Progress() as watcher:
            trace_cells(place, plan, results, f"20260101T00000{number}Z", watcher)
    made = sorted((results.path / "traced").iterdir())
    assert [path.name[-2] for path in made] == ["0", "2"]
    assert [ResultSet.open(path).manifest["trace"] for path in made] == ["tail", "polls"]
