"""What nobody foresaw costs itself only: a run, a record, a file of a set; and at the edge one line and a report."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import EXIT_UNFORESEEN, UNFORESEEN
from harness.places.local import Local
from harness.plan import Run
from harness.run.measure import Measured
from harness.run.process import ChildProcess
from harness.run.runner import make_run
from harness.signals import Stopper, stop_on_signals
from harness.spec.cells import CellSpec
from harness.store import ResultSet, RunRecord
from harness.workloads import ProgramOutput
from tests import command, experiment
from tests.unit import synthetic


class Quiet:
    def starting(self, run: Run, number: int, total: int) -> None: ...
    def finished(self, run: Run, record: RunRecord) -> None: ...
    def rejected(self, run: Run, record: RunRecord) -> None: ...


def test_a_run_that_ends_in_a_mistake_of_ours_is_one_failed_record(tmp_path: Path) -> None:
    plan = experiment.plan(tmp_path, cases={"a": {}, "b": {"workload": {"duration": "90ms"}}}, repeat=2)

    def take(spec: CellSpec, _stopper: Stopper, _files: dict[str, bytes], **_: object) -> Measured:
        raise ZeroDivisionError(f"of {spec.workload.duration_ns}")

    results = ResultSet.create(tmp_path, "small", "20261122T101500Z", b"", plan, {})
    with stop_on_signals() as stopper:
        Local(stopper, take=take).execute(plan, results, Quiet())
    records = results.records()
    assert [record.verdict for record in records] == ["failed"] * 4, "the experiment went on"
    assert "ZeroDivisionError: of" in records[0].reasons[0] and UNFORESEEN in records[0].reasons[0]
    report = (results.path / "runs" / records[0].run_id / UNFORESEEN).read_text()
    assert "Traceback" in report and "raise ZeroDivisionError" in report


def test_an_interrupt_is_no_failed_run(tmp_path: Path) -> None:
    plan = experiment.plan(tmp_path)

    def take(*_: Any) -> Measured:
        raise KeyboardInterrupt

    run: Run = plan.runs[0]
    with stop_on_signals() as stopper, pytest.raises(KeyboardInterrupt):
        make_run(run, {}, stopper, take)


def test_words_that_no_program_can_be_given_do_not_leak_what_was_opened() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with stop_on_signals() as stopper, pytest.raises(Exception, match="start on the server: embedded null byte"):
        ChildProcess("server", ["/bin/echo", "a\0b"], stopper)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["echo", "a\0b"], "it holds a NUL"),
        (["", "x"], "its first word is empty"),
        ("echo 'open", "it cannot be split into words"),
    ],
)
def test_a_command_that_cannot_run_is_refused_with_its_place(tmp_path: Path, words: Any, why: str) -> None:
    figure = {"n": {"regex": "(1)"}}
    workload = {"kind": "command", "from": "client", "to": "server", "client": words, "figures": figure}
    done = command.call("validate", experiment.write(tmp_path, workload=workload))
    assert done.returncode == 2 and why in done.stderr
    assert re.search(r"small\.yaml:\d+:\d+: workload.client", done.stderr)


@pytest.mark.parametrize("text", ["9" * 400, '{"n": ' + "9" * 400 + "}", "[" * 5000])
def test_a_figure_beyond_every_number_is_no_number(text: str) -> None:
    from harness.workloads.command import Command

    way = {"regex": "([0-9]+)"} if text.isdigit() else {"json": "n"}
    words = {"kind": "command", "from": "a", "to": "b", "client": ["x"], "figures": {"n": way}}
    with pytest.raises(ValueError, match=r"is not a number|is not JSON"):
        Command.model_validate(words).read(ProgramOutput(text))


def a_set(tmp_path: Path) -> ResultSet:
    results = ResultSet.create(tmp_path, "small", "20261122T101500Z", b"x: 1\n", synthetic.FakePlan(blocks=2), {})
    for record in synthetic.result_set(2):
        results.save_run(record)
    return results


def put_number(path: Path, number: str) -> None:
    """A number in the metrics of a run.json, as text: JSON knows numbers of any length."""
    document = json.loads(path.read_text())
    document["metrics"]["rtt_p50_us"] = 1234567
    path.write_text(json.dumps(document).replace("1234567", number))


@pytest.mark.parametrize("number", ["9" * 400, "1" + "0" * 19, "1e999", "NaN"])
def test_a_record_with_a_number_beyond_64_bits_costs_itself_only(tmp_path: Path, number: str) -> None:
    results = a_set(tmp_path)
    victim = results.run_ids()[0]
    put_number(results.path / "runs" / victim / "run.json", number)
    done = command.call("show", results.path)
    assert done.returncode == 0
    assert f"{victim} is left out" in " ".join(done.stdout.split())
    assert len(ResultSet.open(results.path).records()) == len(results.run_ids()) - 1


def as_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


@pytest.mark.parametrize("change", [as_fifo, as_directory, as_loop])
@pytest.mark.parametrize("name", ["run.json", "plan.json", "manifest.json", "experiment.yaml"])
def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path, name: str, change: Callable[[Path], None]) -> None:
    results = a_set(tmp_path)
    victim = results.run_ids()[0]
    change(results.path / ("runs/" + victim if name == "run.json" else "") / name)
    again = ResultSet.open(results.path)
    records = again.records()
    assert (again.plan == {}) is (name == "plan.json") and (again.experiment == b"") is (name == "experiment.yaml")
    assert len(records) == len(results.run_ids()) - (name == "run.json")
    assert any(name in warning for warning in again.warnings)
    assert command.call("show", results.path).returncode == 0


def test_samples_that_are_a_pipe_are_named(tmp_path: Path) -> None:
    results = a_set(tmp_path)
    os.mkfifo(results.sample_file(results.run_ids()[0]))
    assert results.sample_columns(results.run_ids()[0], ["latency_ns"]) is None
    assert "no regular file" in results.warnings[-1]


@pytest.mark.parametrize("words", [("validate",), ("compare", "--baseline", "base")])
def test_an_input_that_is_a_pipe_is_read_if_somebody_writes(tmp_path: Path, words: tuple[str, ...]) -> None:
    """As the shell's `<(...)` gives it."""
    text = experiment.write(tmp_path).read_bytes() if words == ("validate",) else b"case,rtt_p50_us\nbase,1\nb,2\n"
    reader, writer = os.pipe()
    os.write(writer, text)
    os.close(writer)
    done = command.call(words[0], f"/dev/fd/{reader}", *words[1:])
    os.close(reader)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [("validate",), ("plan",), ("compare", "--baseline", "base")])
def test_an_input_that_is_a_silent_pipe_is_given_up(
    tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.store.regular.read_input.__defaults__", (None, 0.2))
    os.mkfifo(tmp_path / "fifo")
    done = command.call(words[0], tmp_path / "fifo", *words[1:])
    assert done.returncode == 2
    assert "it is a pipe, and nothing came within 0.2 s" in done.stderr


def test_the_last_guard_says_one_line_and_keeps_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> int:
        raise RecursionError("maximum recursion\ndepth \x1b[31m exceeded")

    monkeypatch.setattr("harness.cli.validate.validate", broken)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = command.call("validate", "some file.yaml")
    assert done.returncode == EXIT_UNFORESEEN
    assert done.stderr.count("\n") == 1 and "\x1b" not in done.stderr and done.stdout == ""
    assert done.stderr.startswith("pollbench: validate: a mistake of pollbench's own (RecursionError: maximum")
    (report,) = tmp_path.glob("pollbench-report-*.txt")
    assert str(report) in done.stderr
    text = report.read_text()
    assert "command: pollbench validate 'some file.yaml'" in text and "in broken" in text
    assert report.stat().st_mode & 0o077 == 0


def test_the_guard_has_a_line_even_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> int:
        raise TypeError("x")

    monkeypatch.setattr("harness.cli.validate.validate", broken)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    done = command.call("validate", "x")
    assert done.returncode == EXIT_UNFORESEEN and "could not be written" in done.stderr


def test_help_names_the_exit_code_of_the_guard() -> None:
    assert f"{EXIT_UNFORESEEN} a mistake of pollbench's own" in " ".join(command.call("--help").stdout.split())


def test_a_record_keeps_its_other_fields_when_it_fails_so(tmp_path: Path) -> None:
    plan = experiment.plan(tmp_path)
    with stop_on_signals() as stopper:
        record, samples, files = make_run(plan.runs[0], {"kernel": "6"}, stopper, lambda *_: 1 / 0)  # type: ignore[arg-type]
    assert record == replace(record, verdict="failed", run_id=plan.runs[0].run_id, environment={"kernel": "6"})
    assert samples is None and set(files) == {UNFORESEEN}


def test_no_memory_is_said_without_asking_for_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def show(_arguments: object) -> int:
        raise MemoryError

    monkeypatch.setattr("harness.cli.show.show", show)
    # What would be imported to write a report of it is not there.
    monkeypatch.setitem(sys.modules, "harness.cli.guard", None)
    done = command.call("show", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "pollbench: show: there is not enough memory; what was finished is kept\n"
