"""The suite without a guest: which sets count, which release is compared with which, and what comes of a change."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
from dataclasses import replace
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from harness.analysis.releases import releases
from harness.analysis.trend.gather import natural
from harness.tables.frames import CellKey
from harness.tables.source import load_source
from tests.command import run as command

SUITE = Path(__file__).parents[2] / "experiments" / "suite"
FILES = sorted((SUITE / "1").glob("*.yaml"))
PINNED = "f732c8fd6a992e96"
HEAD = ("run_id", "case", "contention.load", "vm.kernel", "block", "order", "started_utc", "verdict", "place")
FIGURES = ("rtt_p50_us", "rtt_p99_us", "set_cpu_us_per_request")


def keep(
    output: Path, stamp: str, kernels: tuple[str, ...], slower: dict[tuple[str, str], float] | None = None
) -> None:
    """Sets of every file of the suite, five runs a cell, with a noise of 0.1 %. slower: by kernel and case."""
    chance = random.Random(stamp)
    for file in FILES:
        document = yaml.safe_load(file.read_text())
        directory = output / document["name"] / stamp
        directory.mkdir(parents=True)
        (directory / "experiment.yaml").write_bytes(file.read_bytes())
        loads = (document.get("sweep") or {}).get("contention.load", [""])
        rows = []
        for number, (block, kernel, case, load) in enumerate(product(range(1, 6), kernels, document["cases"], loads)):
            times = (slower or {}).get((kernel, f"{document['name']}/{case}"), 1.0)
            figures = [times * value * chance.gauss(1, 1e-3) for value in (30.0, 40.0, 20.0)]
            begun = f"2026-11-{stamp[6:8]}T{number // 60:02}:{number % 60:02}:00Z"
            rows.append(
                [f"{number:012x}", case, load, kernel, block, number, begun, "valid", "vm", *figures, "tcg-virtual"]
            )
        with open(directory / "runs.csv", "w", newline="") as target:
            csv.writer(target).writerows([[*HEAD, *FIGURES, "accelerator"], *rows])


def test_version_1_stays_as_it_was_published() -> None:
    """Change nothing here: sets of a file that differs are of another suite. Make a directory 2 of copies instead."""
    whole = hashlib.sha256(b"\0".join(file.read_bytes() for file in FILES)).hexdigest()
    assert whole[:16] == PINNED


def test_names_of_releases_are_in_their_order() -> None:
    names = ["7.3", "6.12", "7.3-rc2", "6.9", "7.3~rc1", "6.12.1"]
    assert sorted(names, key=natural) == ["6.9", "6.12", "6.12.1", "7.3-rc2", "7.3~rc1", "7.3"]


def test_a_slower_release_is_named_and_fails_the_condition(tmp_path: Path) -> None:
    keep(tmp_path, "20261101T000000Z", ("6.9", "6.12"))
    keep(tmp_path, "20261102T000000Z", ("7.3",), {("7.3", "wake-up/base"): 1.2})
    # Another experiment of the same name is of another suite.
    other = tmp_path / "wake-up" / "20261103T000000Z"
    other.mkdir()
    (other / "experiment.yaml").write_text("name: wake-up\n")
    (other / "runs.csv").write_text("run_id,case\n")
    piped = tmp_path / "wake-up" / "20261104T000000Z"
    piped.mkdir()
    os.mkfifo(piped / "experiment.yaml")  # nobody waits for it
    junit = tmp_path / "tests.xml"
    asked = ("suite", "--no-run", "-o", tmp_path, "--fail-if", "rtt_p50_us > +5%", "--junit", junit)
    done = command(*asked)
    assert done.returncode == 6, done.stderr
    out = " ".join(done.stdout.split())
    assert "pollbench suite 1: 6.9, 6.12, 7.3" in out
    assert "7.3 against 6.12 - wake-up/base: RTT p50 1.2" in out or "wake-up/base: RTT p50 20" in out
    assert "7.3 against 6.12: --fail-if rtt_p50_us > +5%: FAILED (1 failed, 15 passed)" in done.stderr
    # Judged is the newest release alone, where none is named.
    assert "6.12 against 6.9: --fail-if" not in done.stderr
    suites = {suite.get("name"): suite.get("failures") for suite in ElementTree.parse(junit).getroot()}
    assert suites["7.3 against 6.12: --fail-if rtt_p50_us > +5%"] == "1"
    assert {"7.3: contended", "7.3: wake-up"} <= set(suites)
    whole = json.loads((tmp_path / "suite.json").read_text())
    assert [one["against"] for one in whole["releases"]] == ["", "6.9", "6.12"]
    assert "6.12" in (tmp_path / "7.3.html").read_text() and (tmp_path / "index.html").exists()


@pytest.mark.parametrize(("condition", "code"), [("rtt_p50_us > +5%", 0), ("rtt_p99_us > +0.02%", 4)])
def test_releases_alike_pass_or_are_open(tmp_path: Path, condition: str, code: int) -> None:
    keep(tmp_path, "20261101T000000Z", ("6.12", "7.3"))
    done = command("suite", "--no-run", "-o", tmp_path, "--fail-if", condition)
    assert done.returncode == code, done.stderr


def test_without_any_set_it_says_what_to_do(tmp_path: Path) -> None:
    done = command("suite", "--no-run", "-o", tmp_path)
    assert done.returncode == 2 and "run it without --no-run" in done.stderr


def test_cells_of_other_releases_are_no_part_of_one(tmp_path: Path) -> None:
    """A claim of one kernel waits for no run of another."""
    keep(tmp_path, "20261101T000000Z", ("6.12", "7.3"))
    source = load_source(tmp_path / "wake-up" / "20261101T000000Z")
    cases, kernels = ("base", "busypoll50"), ("6.12", "7.3")
    planned: dict[CellKey, int] = {(case, (("vm.kernel", kernel),)): 5 for case in cases for kernel in kernels}
    for release in releases([("wake-up", replace(source, planned=planned))], "vm.kernel"):
        assert release.parts["wake-up"].planned == {("base", ()): 5, ("busypoll50", ()): 5}
