"""The report as a file: self-contained, inert whatever a name holds, sensible for sets with little in them."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis.compare import compare_cases, compare_sources
from harness.analysis.curves import Study, load_study
from harness.analysis.summary import overview
from harness.report.charts.scale import Scale, log_scale, tick_text, time_text
from harness.report.html import page
from harness.report.html.markup import Markup, join, tag, text
from harness.report.html.runs import MOST
from harness.store.record import Verdict
from tests.command import call
from tests.command import run as command
from tests.unit import pages, synthetic

VOID = {"meta", "input", "br"}


class Page(HTMLParser):
    """A parsed page: every element with its attributes, and the text in sight; fails on unbalanced markup."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open):
            self.words.append(data)

    def named(self, name: str) -> list[dict[str, str | None]]:
        """Attributes of every element of this name."""
        return [attributes for found, attributes in self.elements if found == name]


def report(*paths: Path) -> str:
    """The page of these sets, as the command makes it."""
    sets = [(study, overview(study.source)) for study in map(load_study, paths)]
    if len(sets) > 1:
        return page(sets, compare_sources([study.source for study, _ in sets]))
    study, view = sets[0]
    return page(sets, compare_cases(study.source, view.baseline) if view.baseline else None)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small load sweep."""
    return pages.load_sweep(tmp_path_factory.mktemp("sweep"), blocks=4, count=3000, rates=(10, 40, 100)).path


@pytest.fixture(scope="module")
def source(sweep: Path) -> str:
    """Its report."""
    return report(sweep)


def test_the_page_asks_the_network_for_nothing(source: str) -> None:
    found = Page(source)
    names = {name for name, _ in found.elements}
    assert not names & {"link", "img", "iframe", "object", "embed", "base", "form", "audio", "video", "image", "use"}
    for name, attributes in found.elements:
        assert not {"src", "srcset", "action", "xlink:href"} & set(attributes), name
        assert (attributes.get("href") or "#").startswith("#")
        assert not [key for key in attributes if key.startswith("on")]
    # The charting library says in a comment where it comes from.
    source = source.replace("/*! https://github.com/leeoniya/uPlot (v1.6.32) */", "")
    assert "@import" not in source
    assert re.findall(r"url\((?!#)", source) == []
    assert re.findall(r"https?://", source) == []
    assert len(source.encode()) < 3_000_000


def test_only_our_own_scripts_may_run(source: str) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    assert ["Permission is hereby granted" in script for script in scripts] == [True, False]
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    policy = next(meta["content"] for meta in Page(source).named("meta") if meta.get("http-equiv"))
    assert policy is not None
    assert f"script-src {allowed};" in policy
    assert policy.startswith("default-src 'none'")


def test_the_same_set_gives_the_same_bytes(sweep: Path, source: str) -> None:
    assert report(sweep) == source


def test_what_a_reader_looks_for_is_there(source: str) -> None:
    found = Page(source)
    ids = [str(part["id"]).removeprefix("s0-") for part in found.named("section")]
    assert ids == [
        *(
            "findings",
            "cells",
            "explore",
            "distribution",
            "load",
            "heat",
            "trade",
            "times",
            "phases",
            "knobs",
            "where",
            "runs",
        )
    ]
    words = " ".join(found.words)
    for said in ("5.7× lower", " % interval ", "share of requests slower", "not observable, 12 runs", "wakeup"):
        assert said in words
    assert words.count("48 valid") == 1
    all_ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(set(all_ids)) == len(all_ids)


def test_every_chart_is_told_in_words_and_has_its_numbers(source: str) -> None:
    found = Page(source)
    charts = [svg for svg in found.named("svg") if svg.get("class") == "chart"]
    assert len(charts) > 10
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in charts)
    swatches = [svg for svg in found.named("svg") if svg.get("class") != "chart"]
    assert all(svg.get("aria-hidden") == "true" for svg in swatches)
    assert all(region.get("aria-label") for region in found.named("div") if region.get("role") == "region")
    assert all(head.get("scope") for head in found.named("th"))
    assert found.named("html")[0] == {"lang": "en"}
    assert len(found.named("h1")) == 1


def test_markup_in_names_values_and_reasons_is_text(tmp_path: Path) -> None:
    source = report(pages.hostile(tmp_path).path)
    found = Page(source)
    names = {name for name, _ in found.elements}
    assert not names & {"img", "b"}
    assert not [key for _, attributes in found.elements for key in attributes if key.startswith("on")]
    words = " ".join(found.words)
    assert '<img src=x onerror="document.title=1">' in words
    assert "\u202e" not in source
    assert "\x1b" not in source
    # The data, the library and ours. The name holds an end tag, which must not have ended any of them.
    assert len(found.named("script")) == 3


@pytest.mark.parametrize("verdict", ["skipped", "failed", "inert", "suspect"])
def test_a_set_without_a_valid_run_claims_nothing_and_says_why(tmp_path: Path, verdict: Verdict) -> None:
    words = " ".join(Page(report(pages.bare(tmp_path, verdict, 4).path)).words)
    assert "None of the 4 runs is valid" in words
    assert f"4 {verdict}" in words
    assert "this kernel has no netem" in words


def test_an_empty_set(tmp_path: Path) -> None:
    words = " ".join(Page(report(pages.bare(tmp_path, runs=0).path)).words)
    assert "There is no run in this set yet" in words
    assert "no runs" in words


def test_a_single_run(tmp_path: Path) -> None:
    found = Page(report(pages.bare(tmp_path).path))
    words = " ".join(found.words)
    assert "There is one case, so nothing is compared." in words
    assert {str(part["id"]) for part in found.named("section")} >= {
        "s0-distribution",
        "s0-trade",
        "s0-times",
        "s0-runs",
    }


def test_damaged_samples_are_told_and_the_rest_is_drawn(tmp_path: Path) -> None:
    results = pages.load_sweep(tmp_path, blocks=2, count=500, rates=(10,))
    results.sample_file(results.run_ids()[0]).write_bytes(b"not parquet")
    (results.path / "runs" / results.run_ids()[1] / "run.json").write_text("{")
    words = " ".join(Page(report(results.path)).words)
    assert "cannot be read" in words
    assert "is left out" in words


def test_several_sets_are_compared_and_keep_their_own_parts(sweep: Path, tmp_path: Path) -> None:
    other = pages.load_sweep(tmp_path, blocks=4, count=1000, rates=(10, 40)).path
    found = Page(report(sweep, other))
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {"between", "s0-findings", "s1-findings", "explore"} <= set(ids)


def test_a_csv_file_has_a_report_without_samples(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(
        "case,rtt_p50_us,rtt_p99_us\n" + "".join(f"{case},{n + 5},{n + 9}\n" for case in "ab" for n in range(6))
    )
    ids = {str(part["id"]) for part in Page(report(file)).named("section")}
    assert ids == {"s0-findings", "s0-cells", "explore", "s0-where", "s0-runs"}


def test_rows_beyond_the_limit_are_said_to_be_left_out() -> None:
    # The same runs over and over: what counts is their number.
    few = synthetic.source()
    source = replace(few, runs=pd.concat([few.runs] * (MOST // len(few.runs) + 1), ignore_index=True))
    found = page([(Study(source), overview(source))])
    assert f"The first {MOST:,} of {len(source.runs):,} runs" in found
    assert len(found.encode()) < 3_000_000


def test_the_command_writes_the_page_beside_the_runs(sweep: Path, tmp_path: Path) -> None:
    found = command("report", sweep)
    assert (found.returncode, found.stdout) == (0, "")
    assert f"report: {sweep / 'report.html'}" in found.stderr
    assert (sweep / "report.html").read_text().startswith("<!DOCTYPE html>")
    refused = call("report", sweep, "-o", tmp_path / "no" / "such" / "report.html")
    assert refused.returncode == 1
    assert "write the report" in refused.stderr
    nothing = call("report", tmp_path)
    assert nothing.returncode == 2
    assert "this is not one" in nothing.stderr
    unknown = call("report", sweep, "--baseline", "nix")
    assert (unknown.returncode, "nix" in unknown.stderr) == (2, True)


@pytest.mark.slow
def test_the_page_of_two_hundred_runs_can_be_sent(tmp_path: Path) -> None:
    path = pages.load_sweep(tmp_path, blocks=10, count=5_000, rates=(10, 30, 50, 70, 100)).path
    assert call("report", path).returncode == 0
    assert (path / "report.html").stat().st_size < 3_000_000


def test_text_is_escaped_and_markup_is_not() -> None:
    assert text("<a & 'b'>\x07") == "&lt;a &amp; &#x27;b&#x27;&gt;?"
    assert tag("p", "<b>", tag("br"), None, title='"', hidden=False, data_x=1.25) == (
        '<p title="&quot;" data-x="1.2">&lt;b&gt;<br></p>'
    )
    assert join(["<", Markup("<i>")], ", ") == "&lt;, <i>"


def test_scales_and_ticks() -> None:
    assert Scale(0, 1, False).share(0.25) == 0.25
    assert Scale(1, 100, True).share(10) == 0.5
    assert Scale(1, 100, True).share(0) == 0
    assert Scale(0, 100, False, air=0.1).share(100) == pytest.approx(0.9)
    assert Scale(0, 80, False, air=0.1).limits() == pytest.approx((-10, 90))
    assert Scale(1, 1e8, True, air=0.1).limits() == pytest.approx((0.1, 1e9))
    assert Scale(0, 0.97, False).ticks() == [0, 0.2, 0.4, 0.6, 0.8]
    assert log_scale([3, 3000]).ticks(4) == [10, 100, 1000]
    assert log_scale([]).ticks()[0] == 1
    assert [tick_text(value) for value in (0, 0.5, 1500, 2e6, 3e9)] == ["0", "0.5", "1.5k", "2M", "3G"]
    assert [time_text(us) for us in (0.5, 1, 20, 1000, 2e6)] == ["500 ns", "1 µs", "20 µs", "1 ms", "2 s"]
    one = log_scale([50])
    assert 0 < one.share(50) < 1
    assert len(one.ticks()) >= 1
