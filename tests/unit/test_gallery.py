"""The claims gallery without running anything: which files, which sets, what is printed and written."""

from __future__ import annotations

import csv
import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import cli
from harness.analysis.claims.source import before_running, in_guests
from harness.places.vm.kernels import reseeded
from harness.plan import check_cpus, estimate_s, load_experiment, make_plan
from harness.store import ResultSet
from tests import experiment
from tests.command import UNPRIVILEGED
from tests.command import run as command
from tests.unit import pages
from tests.unit.test_report_html import Page

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "experiments" / "claims").glob("*.yaml"))
QUICK_S = 6 * 60
CLAIMS: dict[str, Any] = {
    "faster": {
        "sentence": "Polling is faster <here>.",
        "expect": [{"case": "poll", "direction": "lower", "by": "10%"}],
        "advice": "Poll.",
        "picture": {"kind": "distribution"},
    },
    "table": {
        "sentence": "It is faster at every load.",
        "expect": [{"case": "poll", "direction": "lower", "at": {"contention.load": "0%"}}],
        "picture": {"kind": "grid", "x": "contention.load"},
    },
    "curve": {
        "sentence": "Load makes it slower.",
        "expect": [
            {
                "case": "poll",
                "at": {"contention.load": "50%"},
                "against_at": {"contention.load": "0%"},
                "direction": "higher",
            }
        ],
        "picture": {"kind": "curve", "x": "contention.load"},
    },
    "numa": {
        "sentence": "Other nodes are farther.",
        "expect": [{"case": "poll", "direction": "higher"}],
        "needs": ["numa"],
    },
}
LEVELS = {"base": 50.0, "poll": 10.0}


def files(tmp_path: Path) -> Path:
    """Two claim files of one's own: one that can be tested, one that cannot."""
    source = tmp_path / "mine"
    source.mkdir()
    cases: dict[str, Any] = {"base": {}, "poll": {"settings": {"*": {"busy_poll": {}}}}}
    more = {"contention": {"on": "server.cpus"}, "sweep": {"contention.load": ["0%", "50%"]}, "cases": cases}
    document = experiment.document(name="poll", claims=CLAIMS, quick={"repeat": 6}, **more)
    (source / "01-poll.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    only = experiment.document(name="numa", claims={"numa": CLAIMS["numa"]}, cases=cases)
    (source / "02-numa.yaml").write_text(yaml.safe_dump(only, sort_keys=False))
    return source


def measured(
    tmp_path: Path, source: Path, stamp: str = pages.STAMP, seed: int | None = None, **levels: float
) -> ResultSet:
    """The set that a quick gallery of the first file would have left, with these medians; seed: of guests."""
    path = source / "01-poll.yaml"
    loaded = reseeded(load_experiment(path, quick=True), (seed or 1) - 1)
    plan = make_plan(loaded)
    manifest = {"seed": 1} | ({"vm": {"accelerator": "tcg-virtual"}} if seed else {})
    found = ResultSet.create(tmp_path / "out", plan.name, stamp, loaded.data, plan, manifest)
    for each in plan.runs:
        level = (LEVELS | levels)[each.cell.case] * (1.5 if each.cell.factors["contention.load"] == "50%" else 1)
        factors, case = dict(each.cell.factors), each.cell.case
        record, raw = pages.run(case, factors, each.block, each.order, 2000, level, 5.0)
        found.save_run(replace(record, run_id=each.run_id), raw)
    return found


def gallery(tmp_path: Path, source: Path, *more: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    given = ["gallery", "--quick", "--no-run", "--from", str(source), "-o", str(tmp_path / "out"), *more]
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.main(given)
    return code, out.getvalue(), err.getvalue()


def verdicts(out: Path) -> dict[str, str]:
    rows = csv.DictReader(io.StringIO((out / "claims.csv").read_text()))
    return {f"{row['experiment']}/{row['claim']}": row["verdict"] for row in rows}


def test_judges_what_is_there_and_writes_page_and_tables(tmp_path: Path) -> None:
    source = files(tmp_path)
    measured(tmp_path, source)
    code, out, _ = gallery(tmp_path, source)
    assert code == 0
    assert verdicts(tmp_path / "out") == {
        "01-poll/faster": "holds",
        "01-poll/table": "holds",
        "01-poll/curve": "holds",
        "01-poll/numa": "cannot be tested here",
        "02-numa/numa": "cannot be tested here",
    }
    assert "5 claims: 3 hold, 2 cannot be tested here." in out
    assert re.search(r"-> [\d.]+ us, (4.9|5.0)x lower \[", " ".join(out.split()))
    assert max(map(len, out.splitlines())) <= 100 + len(str(tmp_path)) * 2
    (first, second) = json.loads((tmp_path / "out" / "claims.json").read_text())
    assert first["claims"][0]["conditions"][0]["comparisons"][0]["ratio"] == pytest.approx(0.2, rel=0.1)
    assert second["claims"][0]["verdict"] == "cannot be tested here"


def test_the_page_holds_text_picture_file_verdict_and_advice(tmp_path: Path) -> None:
    source = files(tmp_path)
    measured(tmp_path, source)
    gallery(tmp_path, source)
    text = (tmp_path / "out" / "gallery.html").read_text()
    page = Page(text)
    said = " ".join(page.words)
    for part in (
        "Polling is faster <here>.",
        "What to do: ",
        "Poll.",
        "busy_poll: {}",
        "holds",
        "cannot be tested here",
    ):
        assert part in said
    assert sum(name == "svg" for name, _ in page.elements) >= 4  # two distributions at two loads, and the curve
    assert any("heatmap" in str(attributes.get("class")) for _, attributes in page.elements)
    assert "busy_poll: {}\n" in text  # the file, line by line
    assert "http://" not in text and "https://" not in text
    gallery(tmp_path, source)
    assert (tmp_path / "out" / "gallery.html").read_text() == text


def test_a_verdict_that_flips_is_not_shown(tmp_path: Path) -> None:
    source = files(tmp_path)
    measured(tmp_path, source, "20261122T101500Z")
    measured(tmp_path, source, "20261122T111500Z", poll=49.0)
    code, out, _ = gallery(tmp_path, source, "01")
    assert code == 0
    assert verdicts(tmp_path / "out")["01-poll/faster"] == "not shown"
    assert "differs between reruns" in " ".join(out.split())


def test_a_set_of_another_plan_does_not_count(tmp_path: Path) -> None:
    source = files(tmp_path)
    measured(tmp_path, source)
    gallery(tmp_path, source, "--set", "workload.size=128", "01")
    found = verdicts(tmp_path / "out")
    assert (found["01-poll/faster"], found["01-poll/numa"]) == ("not shown", "cannot be tested here")


def test_names(tmp_path: Path) -> None:
    source = files(tmp_path)
    for name in ("02", "02-numa", "02-numa.yaml"):
        code, out, _ = gallery(tmp_path, source, name, "--list")
        assert (code, "01-poll" in out, "02-numa: cannot be tested here" in out) == (0, False, True)
    code, _, err = gallery(tmp_path, source, "02-nummma")
    assert (code, 'did you mean "02-numa"?' in err) == (2, True)
    code, _, err = gallery(tmp_path, tmp_path / "nowhere")
    assert (code, "there is no claim file" in err) == (2, True)
    document = yaml.safe_load((source / "02-numa.yaml").read_text())
    del document["claims"]
    (source / "02-numa.yaml").write_text(yaml.safe_dump(document))
    code, _, err = gallery(tmp_path, source, "02")
    assert (code, "it has no claims" in err) == (2, True)


def test_running_needs_root(tmp_path: Path) -> None:
    found = command("gallery", "--quick", "--from", files(tmp_path), prefix=UNPRIVILEGED)
    assert (found.returncode, "it needs root" in found.stderr) == (3, True)


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_shipped_claims_can_be_told_by_their_file(path: Path) -> None:
    loaded = load_experiment(path)
    assert loaded.name == path.stem
    assert loaded.claims
    for claim in loaded.claims.values():
        assert claim.advice, "say what to do with it"
    quick = make_plan(load_experiment(path, quick=True))
    assert estimate_s(quick) < 60


def test_every_claim_of_the_textbook_has_a_file_and_quick_is_quick() -> None:
    assert {path.stem.partition("-")[0] for path in SHIPPED} == {f"{number:02}" for number in range(1, 21)}
    loaded = [load_experiment(path, quick=True) for path in SHIPPED]
    # What needs a NIC or a second NUMA node is not run on a plain host.
    here = [each for each in loaded if not all(claim.needs for claim in each.claims.values())]
    assert sum(estimate_s(make_plan(each)) for each in here) < QUICK_S - 20


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_shipped_claims_can_be_tested_in_guests(path: Path) -> None:
    for quick in (True, False):
        loaded = load_experiment(path, quick=quick, guest=True)
        check_cpus(loaded, None)
        plan = make_plan(loaded).to_json()
        found = before_running(loaded.claims, plan, in_guests(plan), {})
        assert "cannot be tested here" not in {each.outcome for each in found}
        assert loaded.repeat == (5 if quick else 10)


def test_says_what_guests_can_test_instead(tmp_path: Path) -> None:
    source = files(tmp_path)
    _, _, err = gallery(tmp_path, source)
    assert "pollbench gallery --in-vm --quick 01-poll 02-numa" in err
    code, _, err = gallery(tmp_path, source, "--in-vm")
    assert (code, err) == (0, "")
    # Without a declaration of two nodes a guest has one as well.
    assert verdicts(tmp_path / "out")["02-numa/numa"] == "cannot be tested here"
    code, _, err = gallery(tmp_path, source, "--kernel", "6.1")
    assert (code, "add --in-vm" in err) == (2, True)


def test_sets_of_guests_and_of_the_host_are_kept_apart(tmp_path: Path) -> None:
    source = files(tmp_path)
    made = measured(tmp_path, source)
    gallery(tmp_path, source, "--in-vm")
    assert verdicts(tmp_path / "out")["01-poll/faster"] == "not shown"
    made.note(vm={"accelerator": "tcg-virtual"})
    gallery(tmp_path, source, "--in-vm")
    assert verdicts(tmp_path / "out")["01-poll/faster"] == "holds"
    gallery(tmp_path, source)
    assert verdicts(tmp_path / "out")["01-poll/faster"] == "not shown"


def test_a_rerun_in_guests_of_another_seed_counts(tmp_path: Path) -> None:
    source = files(tmp_path)
    measured(tmp_path, source, seed=1)
    newest = measured(tmp_path, source, "20261202T000000Z", seed=4, poll=70.0)
    _, out, _ = gallery(tmp_path, source, "--in-vm")
    assert "differs between reruns" in " ".join(out.split())
    # A plan that cannot be read any more is none of this file's.
    (newest.path / "plan.json").write_text("{}")
    gallery(tmp_path, source, "--in-vm")
    assert verdicts(tmp_path / "out")["01-poll/faster"] == "holds"


def test_lists_how_long_guests_take(tmp_path: Path) -> None:
    code, out, err = gallery(tmp_path, files(tmp_path), "--in-vm", "--list")
    assert (code, err) == (0, "")
    assert re.search(r"01-poll: 24 runs, about \d+ (s|min)", out)
    assert "in guests that the files share" in out
