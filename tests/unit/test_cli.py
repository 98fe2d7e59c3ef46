"""The command line without privilege: help, exit codes, plans and messages, frozen in golden files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness import cli
from tests import experiment

GOLDEN = Path(__file__).parent.parent / "golden" / "cli"
ROOT = Path(__file__).parent.parent.parent


def golden(name: str, text: str) -> None:
    """Compare with the golden file; POLLBENCH_UPDATE_GOLDEN=1 writes it."""
    path = GOLDEN / name
    if os.environ.get("POLLBENCH_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A host with CPUs 0 and 1 that can do everything, so that the words are the same on every machine."""
    monkeypatch.setattr("harness.kernel.facts.online_cpus", lambda: {0, 1})
    monkeypatch.setattr("harness.run.capabilities.of_this_host", dict)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", ["", "run", "plan", "validate", "doctor", "show", "compare", "clean"])
def test_help(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as caught:
        cli.main([*filter(None, [command]), "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "usage: pollbench" in text
    if not command:
        assert "130 interrupted" in text


def test_plan_in_words(anywhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.run.capabilities.of_this_host", dict)
    code, out, err = run(capsys, "plan", ROOT / "experiments/quickstart.yaml", "--repeat", "2")
    assert (code, err) == (0, "")
    golden("plan.txt", out)


def test_plan_says_what_will_be_skipped(
    anywhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "this kernel has no qdisc netem (CONFIG_NET_SCH_NETEM, module sch_netem)"
    monkeypatch.setattr("harness.run.capabilities.of_this_host", lambda: {"qdisc:netem": reason})
    code, out, _ = run(capsys, "plan", ROOT / "experiments/netem.yaml", "--repeat", "1")
    assert code == 0
    golden("plan_skips.txt", out)
    code, out, _ = run(capsys, "plan", ROOT / "experiments/netem.yaml", "--json")
    assert next(iter(json.loads(out)["skips"].values()))[0].startswith(reason)


def test_plan_says_which_packets_a_rate_does_not_hold_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.run.capabilities.of_this_host", lambda: {"qdisc:netem": "it has none"})
    file = tmp_path / "x.yaml"
    file.write_text(
        "name: x\n"
        "topology: {nodes: {a: {}, b: {}}, links: [{between: [a, b], forward: {rate: 10mbit}}]}\n"
        "workload: {kind: ping-pong, from: a, to: b}\n"
        "cases: {base: {}, large: {topology: {nodes: {a: {}, b: {}}, links: "
        "[{between: [a, b], forward: {rate: 10mbit, burst: 1MiB}}]}}}\n"
    )
    _, out, _ = run(capsys, "plan", file)
    assert "note: a -> b: 10mbit by htb: the first packet after a pause is not held back; netem, which this" in out
    assert "note: a -> b: 10mbit by tbf: the first 1MiB after a pause is not held back\n" in out
    monkeypatch.setattr("harness.run.capabilities.of_this_host", lambda: {})
    _, out, _ = run(capsys, "plan", file)
    assert out.count("note: ") == 1


def test_every_shipped_experiment_is_valid(anywhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted((ROOT / "experiments").rglob("*.yaml"))
    code, out, err = run(capsys, "validate", *files)
    assert (code, err) == (0, "") and out.count(": ok, ") == len(files)


def test_validate_names_every_bad_file_and_goes_on(anywhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = experiment.write(anywhere)
    (anywhere / "bad.yaml").write_text("name: bad\ntopologie: pair\n")
    code, out, err = run(capsys, "validate", "bad.yaml", "missing.yaml", good.name)
    assert code == 2 and "small.yaml: ok, 1 cells" in out
    golden("validate.txt", err)
    code, out, _ = run(capsys, "validate", "--json", "bad.yaml", good.name)
    assert code == 2 and [item["ok"] for item in json.loads(out)] == [False, True]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("cpu", ("plan", "small.yaml", "--set", "topology.nodes.client.cpus=64")),
        ("set", ("plan", "small.yaml", "--set", "workload.duration")),
        ("set_unit", ("plan", "small.yaml", "--set", "workload.duration=1parsec")),
        ("case", ("plan", "small.yaml", "--case", "bse")),
        ("show", ("show", "nowhere")),
        ("compare", ("compare", "nowhere.csv")),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    name: str, arguments: tuple[str, ...], anywhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment.write(anywhere)
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    golden(f"error_{name}.txt", err)
    assert sorted(path.name for path in anywhere.iterdir()) == ["small.yaml"]


@pytest.mark.parametrize("arguments", [("run",), ("run", "x.yaml", "--repeat", "0"), ("walk",), ("plan", "--nope")])
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    assert caught.value.code == 2 and "Traceback" not in capsys.readouterr().err


def test_schema_and_completion(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "schema")
    assert code == 0 and json.loads(out)["properties"]["workload"]
    for shell in ("bash", "zsh", "tcsh"):
        code, out, _ = run(capsys, "completion", shell)
        assert code == 0 and "pollbench" in out


def test_clean_has_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "clean", "--dry-run")
    assert code == 0 and "nothing to clean" in out


def test_a_reader_that_leaves_is_no_error(anywhere: Path) -> None:
    from tests import command

    process = command.start("schema")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert process.stderr is not None and process.stderr.read() == ""
    process.stderr.close()
