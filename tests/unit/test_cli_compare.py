"""`pollbench compare` as a process: exit codes, what goes to stderr, formats."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.analysis.calibration import known
from tests import command
from tests.campaign.kinds import made_up_set
from tests.unit.synthetic import ENVIRONMENT, source
from tests.unit.test_calibration import entry


def table(path: Path, factor: float = 1.0) -> Path:
    draw = np.random.default_rng(round(100 * factor))
    with path.open("w", newline="") as sink:
        writer = csv.writer(sink)
        writer.writerow(["case", "load", "block", "rtt_p99_us", "rate_rps", "set_busy_percent", "verdict"])
        for case in ("base", "busy"):
            for block in range(8):
                value = factor * draw.normal(100, 1)
                writer.writerow([case, "MAX", block, value, 1e6 / value, 30, "suspect" if block == 7 else "valid"])
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return table(tmp_path / "a.csv"), table(tmp_path / "b.csv", 1.2)


@pytest.mark.parametrize(
    ("conditions", "code", "said"),
    [
        (["--fail-if", "rtt_p99_us > +5%"], 6, "FAILED: base at load=MAX: +18.9 % [+18.3..+21.2]"),
        (["--fail-if", "rtt_p99_us > +30%"], 0, "--fail-if rtt_p99_us > +30%: passed (2 passed)"),
        (["--fail-if", "rtt_p99_us > +19%"], 4, "undecided: base at load=MAX: +18.9 % [+18.3..+21.2]"),
        (["--fail-if", "rtt_p99_us > +19%", "--undecided", "pass"], 0, "undecided (2 undecided)"),
        (["--fail-if", "rtt_p99_us > +19%", "--fail-if", "rate_rps < -3%", "--undecided", "pass"], 6, "FAILED"),
        (["--fail-if", "rtt_p99_us > +19%", "--undecided", "maybe"], 2, "--undecided"),
        (["--fail-if", "rtt_p99_us > +30%", "--fail-if", "rate_rps < -10%"], 6, "rate_rps < -10%"),
        (["--fail-if", "rtt_p99_us > 110us", "--metric", "rate_rps"], 6, "busy at load=MAX"),
        (["--fail-if", "rtt_p99_us > 5%"], 2, "a change has a sign"),
        (["--fail-if", "rtt_p9_us > +5%"], 2, "did you mean 'rtt_p99_us'"),
        (["--sesoi", "two"], 2, "--sesoi"),
        (["--filter", "cas=base"], 2, "did you mean 'case'"),
        (["--include", "skipped"], 2, "none of inert, suspect, failed"),
        (["--baseline", "base"], 2, "goes with one set"),
    ],
)
def test_exit_codes(pair: tuple[Path, Path], conditions: list[str], code: int, said: str) -> None:
    done = command.call("compare", *pair, *conditions)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_cannot_be_judged_is_told_and_has_its_exit_code(pair: tuple[Path, Path]) -> None:
    few = ("--filter", "block<2", "--fail-if", "rtt_p99_us > +5%")
    done = command.run("compare", *pair, *few)
    assert (done.returncode, "not judged (2 not judged)" in done.stderr) == (4, True)
    assert "not judged: busy at load=MAX: a claim needs 4 valid runs on either side" in done.stderr
    assert command.run("compare", *pair, *few, "--undecided", "pass").returncode == 0
    assert command.run("compare", *pair, *few, "--fail-if-point").returncode == 6


def test_json_carries_what_each_condition_came_to(pair: tuple[Path, Path]) -> None:
    conditions = ("--fail-if", "rtt_p99_us > +19%", "--fail-if", "rate_rps < -3%", "--fail-if", "rtt_p99_us > 1ms")
    done = command.run("compare", *pair, pair[0], "--json", *conditions)
    gates = json.loads(done.stdout)["gates"]
    assert [gate["outcome"] for gate in gates] == ["undecided", "failed", "passed"]
    assert {cell["against"] for cell in gates[0]["cells"]} == {"B", "C"}
    (base, *_) = gates[0]["cells"]
    assert (base["case"], base["factors"], base["outcome"]) == ("base", {"load": "MAX"}, "undecided")
    assert 1.18 < base["low"] < 1.19 < base["high"] < 1.22
    assert "gates" not in json.loads(command.run("compare", *pair, "--json").stdout)


def test_options_reach_the_comparison(pair: tuple[Path, Path]) -> None:
    options = ("--json", "--include", "suspect", "--filter", "case=busy", "--sesoi", "50%", "--by", "load")
    done = command.run("compare", *pair, pair[0], *options)
    found = json.loads(done.stdout)
    assert {row["case"] for row in found["rows"]} == {"busy"}
    assert {row["against"] for row in found["rows"]} == {"B", "C"}
    assert {row["test"]["n"] for row in found["rows"]} == {8}
    assert found["smallest_effect"] == 0.5
    assert all(row["small"] for row in found["rows"])


@pytest.mark.parametrize("fmt", ["text", "markdown", "csv", "json", "kernel"])
def test_a_pipe_gets_plain_ascii(pair: tuple[Path, Path], fmt: str) -> None:
    done = command.run("compare", pair[0], "--baseline", "base", "--format", fmt)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert not re.search(r"\x1b| $", done.stdout, re.MULTILINE) or fmt == "markdown"


def test_the_kernel_table_shows_what_there_is(pair: tuple[Path, Path]) -> None:
    done = command.run("compare", *pair, "--format", "kernel")
    head = next(line for line in done.stdout.splitlines() if line.startswith("testcase"))
    assert head.split() == ["testcase", "load", "qps", "avglat", "95%lat", "99%lat", "cpu"]


def test_the_kernel_table_has_the_columns_that_are_asked_for() -> None:
    kept = Path(__file__).parents[2] / "results" / "reference" / "quickstart"
    table = ("compare", kept, "--baseline", "base", "--format", "kernel")
    lines = command.call(*table, "--metric", "rtt_p50_us", "--metric", "rate_rps").stdout.splitlines()
    head, base, *_ = (line.split() for line in lines if line.startswith(("testcase", "base")))
    assert head == ["testcase", "load", "p50", "qps"] and base[:3] == ["base", "0%", "56.7"]
    told = " ".join(lines)
    assert "p50: RTT p50, us, median over runs; qps: mean over runs" in told and "95%lat" not in told
    assert "measured on: kernel 6.18" in told and max(map(len, lines)) <= 72
    names = ("p50", "p90", "mean", "p99", "max", "p95", "min", "sd")
    many = [word for name in names for word in ("--metric", f"rtt_{name}_us")]
    done = command.call(*table, *many)
    assert done.returncode == 2 and "do not fit in a mail's 72 letters; choose fewer" in done.stderr


def test_a_calibration_of_the_host_is_quoted(tmp_path: Path) -> None:
    runs = source().runs
    path = tmp_path / "runs.csv"
    runs.to_csv(path, index=False)
    state = tmp_path / "state"
    kept = state / "pollbench" / "calibration.json"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(known.to_bytes([entry("2026-11-22")]))
    env = {"XDG_STATE_HOME": str(state)}
    done = command.run("compare", path, path, env=env)
    assert "Calibrated on such a host on 2026-11-22" in done.stdout, (ENVIRONMENT, done.stderr)
    assert "Calibrated" not in command.run("compare", path, path, env={"XDG_STATE_HOME": "/none"}).stdout
    kept.write_text("{")
    done = command.run("compare", path, path, env=env)
    assert (done.returncode, "is left out" in done.stderr) == (0, True)


def test_sets_without_runs_are_named(tmp_path: Path) -> None:
    """All of a set's runs may be gone, or still to be made."""
    whole = made_up_set(tmp_path / "whole")
    empty = made_up_set(tmp_path / "empty")
    for run in (empty / "runs").iterdir():
        shutil.rmtree(run)
    for inputs, named in (([empty, whole], "A has"), ([whole, empty], "B has"), ([empty, empty], "A and B have")):
        done = command.call("compare", *map(str, inputs))
        assert (done.returncode, done.stdout) == (2, "")
        assert f"no cell is on both sides: {named} no runs" in done.stderr
    assert command.call("compare", str(empty), "--baseline", "base").returncode == 2
