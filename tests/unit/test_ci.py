"""What was measured as tests for CI systems: JUnit XML and KTAP, doubts as skips or failures, strangers' names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from harness.analysis.claims import findings
from harness.report.ci import CiTest, Doubts, cells_and_claims, junit, ktap
from tests.command import call
from tests.unit import claims

_RESULT = re.compile(r"(ok|not ok) ([0-9]+) ?(?:- )?([^#]*)(?: # SKIP ?(.*))?")
"""A line of a result, in the form that the kernel's own parser of KTAP takes."""


def made(*, troubled: bool = False) -> list[CiTest]:
    source = claims.source(troubled=troubled)
    return cells_and_claims(source, findings(source))


def xml_of(tests: list[CiTest], doubts: Doubts) -> dict[str, str]:
    """Every test case with its ending, after the counts were held against the cases."""
    root = ElementTree.fromstring(junit(tests, doubts))
    endings = {}
    for suite in root:
        cases = suite.findall("testcase")
        for name, tag in (("failures", "failure"), ("skipped", "skipped")):
            assert int(suite.attrib[name]) == sum(case.find(tag) is not None for case in cases)
        assert int(suite.attrib["tests"]) == len(cases)
        for case in cases:
            endings[case.attrib["name"]] = next((part.tag for part in case if part.tag != "system-out"), "passed")
    assert int(root.attrib["tests"]) == len(endings) == len(tests)
    return endings


def ktap_of(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """The results of suites and of their tests, after plans and numbers were held against the lines."""
    lines = text.splitlines()
    assert lines[0] == "KTAP version 1"
    levels: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for level, some in enumerate(([x for x in lines if x[:1] != " "], [x[4:] for x in lines if x[:1] == " "])):
        plans = [int(line[3:]) for line in some if line.startswith("1..")]
        results = [match for line in some if (match := _RESULT.fullmatch(line))]
        assert sum(plans) == len(results)
        others = [line for line in some if not _RESULT.fullmatch(line) and not line.startswith(("1..", "KTAP", "# "))]
        assert others == []
        for match in results:
            levels[level][match[3].strip()] = "skipped" if match[4] is not None else match[1]
    return levels


def test_cells_and_claims_are_tests() -> None:
    endings = xml_of(made(), "skip")
    assert endings["base at contention.load=100%"] == "passed"
    assert endings["claim faster"] == "passed"
    assert endings["claim cheaper"] == "failure"
    assert endings["claim iommu"] == "skipped"
    assert len(endings) == 6 + len(claims.CLAIMS)


def test_a_doubt_is_a_skip_or_a_failure_by_choice() -> None:
    skipped, failed = (xml_of(made(troubled=True), doubts) for doubts in ("skip", "fail"))
    assert skipped["base at contention.load=100%"] == failed["base at contention.load=100%"] == "failure"
    for doubt in ("busypoll50 at contention.load=100%", "defer20 at contention.load=0%"):
        assert (skipped[doubt], failed[doubt]) == ("skipped", "failure")
    assert failed["claim iommu"] == "skipped"


def test_both_forms_say_the_same() -> None:
    for doubts in ("skip", "fail"):
        tests = made(troubled=True)
        suites, results = ktap_of(ktap(tests, doubts))
        same = {"ok": "passed", "not ok": "failure", "skipped": "skipped"}
        assert {name: same[ending] for name, ending in results.items()} == xml_of(tests, doubts)
        assert suites == {"quickstart": "not ok"}
    assert "    # 7 valid, 1 failed: client: connect: connection refused\n    not ok 4" in ktap(
        made(troubled=True), "skip"
    )


def test_a_cell_that_was_not_made_is_no_pass() -> None:
    source = claims.source()
    whole = replace(source, planned={**source.planned, ("spin50", (("contention.load", "0%"),)): 5})
    assert xml_of(cells_and_claims(whole, ()), "fail")["spin50 at contention.load=0%"] == "failure"


def test_names_of_strangers_break_neither_form() -> None:
    evil = "a # SKIP \x1b[31m\x00<b>&\ud800\nok 1 forged"
    tests = [CiTest(evil, evil, "failed", evil, (evil,)), CiTest("plain", "one", "passed")]
    assert list(xml_of(tests, "skip").values()) == ["failure", "passed"]
    suites, results = ktap_of(ktap(tests, "skip"))
    assert [*suites.values(), *results.values()] == ["not ok", "ok", "not ok", "ok"]


def test_conditions_of_a_comparison_are_tests(tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    rows = [f"{case},{us + 0.1 * at}" for case, us in (("base", 50), ("test", 80)) for at in range(8)]
    table.write_text("case,rtt_p50_us\n" + "\n".join(rows) + "\n")
    conditions = ("--fail-if", "rtt_p50_us > +5%", "--fail-if", "rtt_p50_us > +90%")
    one = ("compare", table, "--baseline", "base", *conditions)
    done = call(*one, "--junit", tmp_path / "tests.xml", "--ktap", "-", "--format", "csv")
    assert done.returncode == 6, done.stderr
    root = ElementTree.parse(tmp_path / "tests.xml").getroot()
    assert [(suite.attrib["name"], suite.attrib["failures"]) for suite in root] == [
        ("--fail-if rtt_p50_us > +5%", "1"),
        ("--fail-if rtt_p50_us > +90%", "0"),
    ]
    assert done.stdout.endswith("ok 2 --fail-if rtt_p50_us > +90%\n")
    refused = call("compare", table, "--baseline", "base", "--junit", tmp_path / "none.xml")
    assert refused.returncode == 2 and "there is no condition" in refused.stderr
