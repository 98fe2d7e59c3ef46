"""What was measured as tests that a CI system reads: cells, claims and conditions, as JUnit XML and as KTAP."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

import numpy as np

from harness.analysis.claims import ClaimVerdict, Outcome
from harness.analysis.compare import Comparison, Factors
from harness.analysis.compare.gate import GateOutcome, GateVerdict
from harness.report import words
from harness.report.claims import evidence, one_line
from harness.report.gate import result_words
from harness.tables.cells import factor_columns, group_cells
from harness.tables.source import Source

Doubts = Literal["skip", "fail"]
Ending = Literal["passed", "failed", "doubt", "skipped"]

_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OF_CLAIM: dict[Outcome, Ending] = {
    "holds": "passed",
    "does not hold here": "failed",
    "reversed": "failed",
    "not shown": "doubt",
    "cannot be tested here": "skipped",
}
_OF_GATE: dict[GateOutcome, Ending] = {
    "passed": "passed",
    "failed": "failed",
    "undecided": "doubt",
    "not judged": "doubt",
}


@dataclass(frozen=True)
class CiTest:
    """A test of a suite. doubt: neither shown nor refuted; why: in a line; detail: its evidence; seconds: it took."""

    suite: str
    name: str
    ending: Ending
    why: str = ""
    detail: tuple[str, ...] = ()
    seconds: float = 0.0

    def counted(self, doubts: Doubts) -> Literal["passed", "failed", "skipped"]:
        """How it ended, with a doubt as a failure or as a skip."""
        if self.ending != "doubt":
            return self.ending
        return "failed" if doubts == "fail" else "skipped"


def cells_and_claims(source: Source, claims: Sequence[ClaimVerdict]) -> list[CiTest]:
    """A test for each cell, which passes if all its runs count, and one for each claim."""
    suite = str(source.plan.get("name") or source.label)
    table, tests = source.table, []
    seconds = table.floats("wall_s")
    cells = group_cells(table, factor_columns(table)) if len(table) else []
    made = set()
    for cell in cells:
        made.add(name := _named(cell.case, cell.factors))
        counts = {name: count for name, count in cell.verdicts.items() if count}
        ending: Ending = "passed" if set(counts) == {"valid"} else "doubt"
        if set(counts) == {"skipped"}:
            ending = "skipped"
        elif "failed" in counts:
            ending = "failed"
        texts = table.texts("reasons").take(cell.rows).distinct() if "reasons" in table else []
        reasons = [reason for reason in texts if reason]
        why = words.counts(cell.verdicts) + (f": {reasons[0]}" if reasons else "")
        took = float(np.nansum(seconds[cell.rows]))
        tests.append(CiTest(suite, name, ending, why, tuple(reasons[1:]), took))
    missing = [name for key in source.planned if (name := _named(*key)) not in made]
    tests += [CiTest(suite, name, "doubt", "no run of it was made") for name in missing]
    return tests + claims_as_tests(suite, claims)


def _named(case: str, factors: Factors) -> str:
    """A cell by its case and those factors that it has."""
    return words.cell(case, tuple(item for item in factors if item[1]))


def claims_as_tests(suite: str, claims: Iterable[ClaimVerdict]) -> list[CiTest]:
    """A test for each claim, which passes if the claim holds."""
    tests = []
    for claim in claims:
        sentence = one_line(claim.claim.sentence)
        why = f"{claim.outcome}: {sentence}"
        tests.append(CiTest(suite, f"claim {claim.name}", _OF_CLAIM[claim.outcome], why, tuple(evidence(claim))))
    return tests


def conditions_as_tests(comparison: Comparison, verdicts: Sequence[GateVerdict]) -> list[CiTest]:
    """A test for each condition in each cell, which passes if the condition is refuted there."""
    tests = []
    for verdict in verdicts:
        for result in verdict.results:
            name, why = result_words(comparison, result)
            tests.append(CiTest(f"--fail-if {verdict.gate.text}", name, _OF_GATE[result.outcome], why))
    return tests


def junit(tests: Sequence[CiTest], doubts: Doubts) -> bytes:
    """The tests as JUnit XML, a suite after the other. doubts: what becomes of tests that showed nothing."""
    root = ElementTree.Element("testsuites", _counts(tests, doubts))
    for suite, some in _suites(tests):
        inner = ElementTree.SubElement(root, "testsuite", {"name": _xml(suite), **_counts(some, doubts)})
        inner.set("skipped", str(sum(test.counted(doubts) == "skipped" for test in some)))
        for test in some:
            names = {"classname": _xml(suite), "name": _xml(test.name), "time": f"{test.seconds:.3f}"}
            one, ending = ElementTree.SubElement(inner, "testcase", names), test.counted(doubts)
            if ending != "passed":
                tag = "failure" if ending == "failed" else "skipped"
                more = ElementTree.SubElement(one, tag, {"message": _xml(test.why), "type": test.ending})
                more.text = _xml("\n".join(test.detail))
            elif test.detail or test.why:
                ElementTree.SubElement(one, "system-out").text = _xml("\n".join((test.why, *test.detail)))
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _counts(tests: Sequence[CiTest], doubts: Doubts) -> dict[str, str]:
    failures = sum(test.counted(doubts) == "failed" for test in tests)
    seconds = f"{sum(test.seconds for test in tests):.3f}"
    return {"tests": str(len(tests)), "failures": str(failures), "errors": "0", "time": seconds}


def _xml(text: str) -> str:
    """Text without what no XML may hold, whatever a name may hold."""
    return _NO_XML.sub("?", text)


def ktap(tests: Sequence[CiTest], doubts: Doubts) -> str:
    """The tests as KTAP, version 1: each suite as a test with subtests, reasons as diagnostics before the result."""
    suites = list(_suites(tests))
    lines = ["KTAP version 1", f"1..{len(suites)}"]
    for number, (suite, some) in enumerate(suites, 1):
        name = _ktap_name(suite)
        lines += [f"    {line}" for line in ("KTAP version 1", f"# Subtest: {name}", f"1..{len(some)}")]
        for place, test in enumerate(some, 1):
            lines += [f"    {line}" for line in _ktap_lines(place, test, doubts)]
        endings = {test.counted(doubts) for test in some}
        skipped = " # SKIP nothing could be tested" if endings == {"skipped"} else ""
        lines.append(f"{'not ok' if 'failed' in endings else 'ok'} {number} {name}{skipped}")
    return "\n".join(lines) + "\n"


def _ktap_lines(number: int, test: CiTest, doubts: Doubts) -> Iterator[str]:
    ending = test.counted(doubts)
    if ending != "passed":
        yield from (f"# {words.clean(line)}" for line in (*([test.why] if ending == "failed" else []), *test.detail))
    skipped = f" # SKIP {_ktap_name(test.why)}" if ending == "skipped" else ""
    yield f"{'not ok' if ending == 'failed' else 'ok'} {number} {_ktap_name(test.name)}{skipped}"


def _ktap_name(text: str) -> str:
    """A name in one line, without the sign that ends a name."""
    return " ".join(words.clean(text).replace("#", "no.").split())


def _suites(tests: Sequence[CiTest]) -> Iterator[tuple[str, list[CiTest]]]:
    for suite in dict.fromkeys(test.suite for test in tests):
        yield suite, [test for test in tests if test.suite == suite]
