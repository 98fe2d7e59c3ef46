"""Every table in every format, word for word; POLLBENCH_UPDATE_GOLDEN=1 writes the files anew."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness import report
from harness.analysis.claims import findings
from harness.analysis.compare import Options, compare_cases, compare_sources
from harness.analysis.compare.choose import KERNEL_METRICS
from harness.analysis.summary import overview
from harness.report import words
from harness.report.layout import Col, Para, Table, Text, to_markdown, to_text
from harness.store import ResultSet
from harness.tables import Source, write_tables
from tests.unit import claims
from tests.unit.synthetic import FakePlan, record, result_set, source

GOLDEN = Path(__file__).parents[1] / "golden"
SUFFIX = {"text": "txt", "markdown": "md", "csv": "csv", "json": "json", "kernel": "kernel.txt"}


def matches(name: str, found: str) -> None:
    path = GOLDEN / name
    if os.environ.get("POLLBENCH_UPDATE_GOLDEN") == "1":
        path.write_text(found)
    same = _rounded(found) == _rounded(path.read_text()) if path.suffix == ".json" else found == path.read_text()
    assert same, f"{name} changed; if that is right: POLLBENCH_UPDATE_GOLDEN=1 make test"


def _rounded(text: str) -> str:
    """JSON without the last digits of its numbers, which numpy's code for another CPU adds up in another order."""
    return json.dumps(json.loads(text, parse_float=lambda digits: float(f"{float(digits):.9g}")))


@pytest.mark.parametrize("fmt", report.FORMATS)
def test_show_with_claims(fmt: report.Format) -> None:
    view = overview(claims.source())
    if fmt == "csv":
        # But for how sure the table is: claims have half of what may be wrong on a page.
        plain = overview(replace(claims.source(), plan=source(blocks=8).plan))
        assert report.show(view, fmt).splitlines()[0] == report.show(plain, fmt).splitlines()[0]
        assert (view.family.level, plain.family.level) == (0.025, 0.05)
        return
    found = report.show(view, fmt)
    # What stands around the claims has goldens of its own.
    found = json.dumps(json.loads(found)["claims"], indent=1) + "\n" if fmt == "json" else found
    matches(f"claims.{SUFFIX[fmt]}", found)


def test_compare_with_claims() -> None:
    made = claims.source()
    found = compare_cases(made, "base", Options(metrics=("rtt_p50_us",)))
    carried = [(made.label, findings(made))]
    text = report.compare(found, "text", claims=carried)
    assert f"Claims of {made.label}" in text
    assert "REVERSED (cheaper): It costs less CPU." in text
    data = json.loads(report.compare(found, "json", claims=carried))
    verdicts = {each["name"]: each["verdict"] for each in data["claims"][made.label]}
    assert verdicts["faster"] == "holds"
    assert "claims" not in json.loads(report.compare(found, "json"))


def other() -> Source:
    """A second set: slower, on another kernel, without one case."""
    made = source("quickstart/20261123T101500Z", scale=1.3)
    runs = made.runs[made.runs["case"] != "defer20"].reset_index(drop=True).assign(kernel="6.19.0")
    return replace(made, runs=runs)


def unlike() -> Source:
    """A set with noise only: no case differs from the baseline."""
    made = source()
    metrics = [name for name in made.runs.columns if name.endswith(("_us", "_rps"))]
    runs = made.runs.copy()
    base = runs["case"] == "base"
    for load in runs["contention.load"].unique():
        here = runs["contention.load"] == load
        for case in ("busypoll50", "defer20"):
            shuffled = runs.loc[here & base, metrics].to_numpy()[::-1]
            runs.loc[here & (runs["case"] == case), metrics] = shuffled
    return replace(made, runs=runs)


SHOWS: dict[str, Callable[[], Source]] = {
    "show": source,
    "show_troubled": lambda: replace(source(troubled=True), warnings=("run 0123 is left out: run.json is empty",)),
    "show_unclear": unlike,
}


@pytest.mark.parametrize("fmt", report.FORMATS)
@pytest.mark.parametrize("name", SHOWS)
def test_show(name: str, fmt: report.Format) -> None:
    matches(f"{name}.{SUFFIX[fmt]}", report.show(overview(SHOWS[name]()), fmt))


@pytest.mark.parametrize("fmt", report.COMPARE_FORMATS)
def test_compare_sets(fmt: report.CompareFormat) -> None:
    matches(f"compare_sets.{SUFFIX[fmt]}", report.compare(compare_sources([source(troubled=True), other()]), fmt))


@pytest.mark.parametrize("fmt", ["text", "markdown"])
def test_compare_with_all_its_tables(fmt: report.CompareFormat) -> None:
    found = compare_sources([source(troubled=True), other()])
    brief, whole = (report.compare(found, fmt, details=details) for details in (False, True))
    # The answer is the same; nothing of the details is above it.
    assert whole.split("Runs were")[0].startswith(brief.split("- 1 run lies")[0].split("- Nothing shown")[0])
    matches(f"compare_sets_all.{SUFFIX[fmt]}", whole)


@pytest.mark.parametrize("fmt", report.COMPARE_FORMATS)
def test_compare_cases(fmt: report.CompareFormat) -> None:
    metrics = ("rtt_p50_us", "cpu_us_per_request") if fmt != "kernel" else KERNEL_METRICS[:4]
    matches(
        f"compare_cases.{SUFFIX[fmt]}",
        report.compare(compare_cases(source(troubled=True), "base", Options(metrics=metrics)), fmt),
    )


def campaign(scale: float = 1.0, label: str = "net-next") -> Source:
    """A table like those of cover letters: loads by name, cycles per query."""
    rows = []
    for case, factor in (("base", 1.0), ("defer20", 2.0), ("a-test-case-with-a-long-name", 0.5)):
        for load in ("200K", "MAX"):
            draw = np.random.default_rng([len(case), len(load), int(100 * scale)])
            for block in range(1, 9):
                one = factor * scale * draw.normal(1, 0.01)
                row = {"case": case, "load": load, "block": block, "rate_rps": 200_000 / one}
                row |= {"rtt_mean_us": 50 * one, "rtt_p95_us": 90 * one, "rtt_p99_us": 900 * one}
                row |= {"set_busy_percent": 40 * one, "cycles_per_query": 13_000 * one, "kernel": label}
                rows.append(row)
    return Source(label, pd.DataFrame(rows))


def test_tables_of_cover_letters() -> None:
    options = Options(metrics=KERNEL_METRICS[:6])
    sets = compare_sources([campaign(), campaign(1.1, "patched"), campaign(1.001, "again")], options)
    cases = compare_cases(campaign(), "base", options)
    for name, found in (("kernel_sets.txt", sets), ("kernel_cases.txt", cases)):
        text = report.compare(found, "kernel")
        assert max(map(len, text.splitlines())) <= 72
        assert text.isascii()
        matches(name, text)


def test_several_inputs() -> None:
    found = compare_sources(
        [campaign(), campaign(1.1, "patched"), campaign(1.001, "again")], Options(metrics=("rtt_p99_us",))
    )
    for fmt in report.FORMATS:
        matches(f"compare_three.{SUFFIX[fmt]}", report.compare(found, fmt))


def test_inert_runs_hide_no_harm() -> None:
    made = source()
    inert = made.runs["case"] == "busypoll50"
    runs = made.runs.assign(verdict=made.runs["verdict"].where(~inert, "inert"))
    runs.loc[inert, "rtt_p50_us"] *= 100
    view = overview(replace(made, runs=runs))
    text = " ".join(report.show(view, "text", 100).split())
    assert "busypoll50 at contention.load=0% took no effect as told, yet against base p50 is 12.5x higher" in text
    assert "in the 5 inert runs, which count nowhere" in text
    assert "(in brackets): medians of inert runs" in text
    (cell,) = (each for each in view.cells if each.case == "busypoll50" and each.factors[0][1] == "0%")
    assert cell.median("rtt_p50_us") is None and cell.estimates["rtt_p50_us"].n == 0
    assert f"({cell.inert['rtt_p50_us'].median:.0f})" in text
    # Those that differ from nothing are not called harm.
    assert "took no effect as told" not in report.show(overview(source(troubled=True)), "text", 100)


def test_what_was_already_so_is_no_effect_and_no_failure() -> None:
    made = source()
    assert made.knobs is not None
    knobs = made.knobs.assign(took_effect=False, evidence="already so: nothing changed")
    (cell,) = overview(replace(made, knobs=knobs)).headline[:1]
    assert all(effect.already and not (effect.took or effect.not_taken) for effect in cell.effects)


def test_on_a_terminal() -> None:
    matches("show_terminal.ansi", report.show(overview(source(troubled=True)), "text", 100, color=True))


def test_compare_on_a_terminal() -> None:
    found = compare_cases(source(troubled=True), "base", Options(metrics=("rtt_p50_us",)))
    matches("compare_terminal.ansi", report.compare(found, "text", 80, color=True))


def test_on_a_narrow_terminal() -> None:
    matches("show_narrow.txt", report.show(overview(source()), "text", 50))


def test_tables_of_a_set(tmp_path: Path) -> None:
    results = ResultSet.create(tmp_path, "quickstart", "20261122T101500Z", b"", FakePlan(), {})
    for made in result_set(blocks=2, troubled=True):
        results.save_run(made)
    write_tables(results)
    for name in ("runs", "nodes", "knobs", "cpus", "summary"):
        matches(f"set_{name}.csv", (results.path / f"{name}.csv").read_text())


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_tables_fit_the_width(width: int) -> None:
    found = report.show(overview(source(troubled=True)), "text", width)
    found += report.compare(compare_cases(source(), "base"), "text", width)
    long = [line for line in found.splitlines() if len(line) > width]
    # A table keeps its case, value and change even where there is no room for more.
    assert not long or width < 60
    assert found.isascii()


def test_colour_changes_nothing_but_the_look() -> None:
    view = overview(source(troubled=True))
    plain = report.show(view, "text", 100)
    seen = re.sub(r"\x1b\[\d+m", "", report.show(view, "text", 100, color=True)).replace("─", "-")
    assert seen == plain


def test_machine_formats_can_be_read() -> None:
    found = compare_sources([source(troubled=True), other()])
    rows = list(csv.DictReader(io.StringIO(report.compare(found, "csv"))))
    assert len(rows) == len(found.rows) == len(json.loads(report.compare(found, "json"))["rows"])
    assert rows[0]["contention.load"] == "0%"
    assert json.loads(report.show(overview(source()), "json"))["runs"]["valid"] == 30


def test_text_from_files_cannot_steer_the_terminal_or_break_a_table() -> None:
    case = "\x1b[31mred|\n=cmd"
    made = [record(case, block=block, order=block) for block in range(4)]
    from harness.tables import frames

    view = overview(Source("x\x07y", frames(made).runs))
    assert "\x1b" not in report.show(view, "text")
    assert "\x07" not in report.show(view, "text")
    assert "red\\|?=cmd" in report.show(view, "markdown")
    assert "'=cmd" not in report.show(view, "csv")  # it does not begin with it
    assert "\\u001b" in report.show(view, "json") or "\x1b" not in report.show(view, "json")


def test_formulas_of_foreign_tables_are_neutral_in_csv() -> None:
    rows = {"case": ["=cmd|' /C calc'!A0", "@x"] * 5, "-factor": ["+1+1"] * 10, "rtt_p50_us": [1.0, 2.0] * 5}
    foreign = Source("=1+1", pd.DataFrame(rows | {"run_id": ["=evil()"] * 10}))
    found = compare_sources([foreign, foreign])
    for row in csv.reader(io.StringIO(report.compare(found, "csv"))):
        for field in row:
            assert not field.startswith(("=", "+", "@")), field
    assert "'-factor" in report.compare(found, "csv").splitlines()[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (0, "0"), (0.0042, "0.0042"), (7.506, "7.51"), (9.996, "10.0"), (61.24, "61.2"),
        (99.94, "99.9"), (99.96, "100"), (368.3, "368"), (12_345.6, "12,346"), (1e18, "1e+18"),
    ],
)  # fmt: skip
def test_short_numbers(value: float | None, text: str) -> None:
    assert words.short(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.01, "<0.1"), (99.8, "99.8"), (99.97, ">99.9"), (100, "100")])
def test_percent_never_rounds_to_all_or_nothing(value: float, text: str) -> None:
    assert words.percent(value) == text


@pytest.mark.parametrize(
    ("places", "command"),
    [((), "run FILE"), (("host",), "run FILE"), (("vm",), "vm run FILE"), (("fleet",), "fleet run FILE -i INVENTORY")],
)
def test_how_to_go_on_is_where_it_was_begun(places: tuple[str, ...], command: str) -> None:
    said = words.missing(1, {"place": places})
    assert said == ("1 planned run is not made yet", f"go on with `pollbench {command} --resume`")


@pytest.mark.parametrize(
    ("manifest", "todo"),
    [
        # Whoever resumed a merged set would begin another.
        ({"merged": []}, "the shares that owe runs make them with `--resume`; then merge again"),
        ({"share": {"number": 1, "of": 2}}, "those of this share by `pollbench run FILE --share 1/2 --resume`"),
    ],
)
def test_what_shares_owe_is_theirs_to_make(manifest: dict[str, Any], todo: str) -> None:
    assert words.missing(3, {}, Source("set", pd.DataFrame(), manifest=manifest).share)[1] == todo


def test_layout_of_wide_letters_and_empty_tables() -> None:
    table = Table((Col("name", right=False), Col("n")), ((Text("日本"), Text("1")), (Text("ab"), Text("22"))))
    assert to_text([table], 40, False).splitlines() == ["name   n", "----- --", "日本   1", "ab    22"]
    assert to_text([Table((Col("a"),), ())], 40, False) == "a\n-\n"
    assert to_markdown([Para("a_b _c_ ~5 <x> [y](z)")]) == "a_b \\_c\\_ \\~5 \\<x> [y\\](z)\n"
