"""The reference gallery and the guide around it: small, whole, and in step with each other."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import yaml

from tests.command import run as command
from tests.unit.test_gallery import files, gallery, measured
from tools import gallery_reference

GUIDE = gallery_reference.PAGE.read_text()
ROOT = gallery_reference.ROOT
KEPT = (gallery_reference.REFERENCE, gallery_reference.GUESTS)


def test_the_guide_shows_the_reference_set() -> None:
    assert gallery_reference.render(GUIDE) == GUIDE, "run: python -m tools.gallery_reference"


def test_every_claim_stands_in_the_guide() -> None:
    named = set(re.findall(r"<!-- claim: (\S+) -->", GUIDE))
    there = {
        f"{path.stem}/{claim}"
        for path in (ROOT / "experiments" / "claims").glob("*.yaml")
        for claim in yaml.safe_load(path.read_text())["claims"]
    }
    kept = set.union(*(set(gallery_reference.Kept.at(path).claims) for path in KEPT))
    assert named == there & kept
    # What is younger than the kept galleries has no verdict to show yet; the guide leads to its file.
    for young in {name.partition("/")[0] for name in there - kept}:
        assert f"](../experiments/claims/{young}.yaml)" in GUIDE


def test_what_fails_anywhere_is_listed_and_explained() -> None:
    host, guest = (gallery_reference.Kept.at(path) for path in KEPT)
    failing = {
        name
        for kept in (host, guest)
        for name, each in kept.claims.items()
        if each["verdict"] in gallery_reference.FAILING and name in gallery_reference.shipped()
    }
    table = GUIDE.partition("<!-- failing: -->")[2].partition("<!-- end -->")[0]
    assert table.count("\n| ") - 1 == len(failing)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(((?:\.\./|[a-z-]+\.md)[^)#]*)", GUIDE))))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()


@pytest.mark.parametrize("kept", KEPT, ids=("host", "guests"))
def test_the_reference_set_is_small_and_has_no_samples(kept: Path) -> None:
    found = [path for path in kept.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in found) < 2_500_000
    assert {path.suffix for path in found} <= {".html", ".csv", ".json", ".yaml"}


@pytest.mark.parametrize("kept", KEPT, ids=("host", "guests"))
def test_a_kept_set_prints_its_verdicts(kept: Path) -> None:
    entries = json.loads((kept / "claims.json").read_text())
    entry = next(each for each in entries if each["experiment"] == "16-kernel-cases")
    shown = command("show", kept / "16-kernel-cases").stdout
    for claim in entry["claims"]:
        # What differs between reruns is known to them together alone.
        if "reruns" not in claim["reason"]:
            assert f"{claim['verdict'].upper()} ({claim['name']})" in shown


def test_keeps_what_is_small(tmp_path: Path) -> None:
    source = files(tmp_path)
    made = measured(tmp_path, source)
    for name in ("runs.csv", "summary.csv"):
        made.write_file(name, b"run_id,case\n")
    gallery(tmp_path, source)
    target = tmp_path / "kept"
    gallery_reference.keep(tmp_path / "out", target)
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert found == {
        *("gallery.html", "claims.csv", "claims.json", "manifest.json"),
        *(f"01-poll/{name}" for name in ("experiment.yaml", "runs.csv", "summary.csv")),
    }
    rows = list(csv.DictReader((target / "claims.csv").open()))
    assert {row["claim"] for row in rows if row["experiment"] == "02-numa"} == {"numa"}
    page = gallery_reference.render("<!-- claim: 01-poll/faster -->\nbefore\n<!-- end -->\n", target)
    assert "> Polling is faster <here>." in page and "**holds**" in page and "before" not in page
