"""--junit and --ktap of `run`, `vm run`, `gallery`, `suite` and `compare`: what was measured as tests for CI."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.terminal import owner_of_results, say
from harness.errors import InputError

if TYPE_CHECKING:
    from harness.analysis.claims import ClaimVerdict
    from harness.analysis.compare import Comparison
    from harness.analysis.compare.gate import Gate, GateVerdict
    from harness.report.ci import CiTest, Doubts
    from harness.store import ResultSet


def asked_for_tests(arguments: argparse.Namespace) -> bool:
    """Is there a file of tests to write?"""
    return bool(getattr(arguments, "junit", None) or getattr(arguments, "ktap", None))


def own_gates(texts: Sequence[str]) -> list[Gate]:
    """Conditions on sets that are yet to be made: a metric that no run has is refused before hours of measuring."""
    from harness.analysis.compare.gate import parse_gate
    from harness.spec.checks import metric_name

    gates = [parse_gate(text) for text in texts]
    for gate in gates:
        try:
            metric_name(gate.condition.metric)
        except ValueError as error:
            got, _, todo = str(error).partition("; ")
            raise InputError("read a condition", got=got, todo=todo, where="--fail-if") from None
    return gates


def write_set(arguments: argparse.Namespace, results: ResultSet) -> None:
    """The cells and claims of a set."""

    def tests() -> list[CiTest]:
        from harness.analysis.claims import findings
        from harness.report.ci import cells_and_claims
        from harness.tables.source import from_set

        source = from_set(results)
        return cells_and_claims(source, findings(source))

    write_tests(arguments, tests)


def write_claims(arguments: argparse.Namespace, files: Sequence[tuple[str, Sequence[ClaimVerdict]]]) -> None:
    """The claims of the gallery, a suite for each file."""

    def tests() -> list[CiTest]:
        from harness.report.ci import claims_as_tests

        return [test for name, claims in files for test in claims_as_tests(name, claims)]

    write_tests(arguments, tests)


def write_tests(arguments: argparse.Namespace, tests: Callable[[], list[CiTest]]) -> None:
    """The tests that `tests` makes, where somebody asked for any."""
    if asked_for_tests(arguments):
        _write(arguments, tests, arguments.doubts)


def write_gates(arguments: argparse.Namespace, comparison: Comparison, verdicts: Sequence[GateVerdict]) -> None:
    """The conditions of a comparison; what is open fails or is skipped as --undecided says. InputError without any."""
    from harness.report.ci import conditions_as_tests

    if not verdicts:
        raise InputError(
            "write tests", got="there is no condition", todo="--fail-if names one", where="--junit, --ktap"
        )
    doubts: Doubts = "fail" if arguments.undecided == "fail" else "skip"
    _write(arguments, lambda: conditions_as_tests(comparison, verdicts), doubts)


def _write(arguments: argparse.Namespace, tests: Callable[[], list[CiTest]], doubts: Doubts) -> None:
    from harness.report import ci
    from harness.store.atomic import explained, write_file

    made = tests()
    for target, text in (
        (arguments.junit, lambda: ci.junit(made, doubts)),
        (arguments.ktap, lambda: _ktap(made, doubts)),
    ):
        if target == "-":
            print(text().decode(), end="")
        elif target:
            with explained("write the tests", Path(target)):
                write_file(Path(target), text(), owner_of_results())
            say(f"tests: {target}")


def _ktap(tests: Sequence[CiTest], doubts: Doubts) -> bytes:
    from harness.report.ci import ktap

    return ktap(tests, doubts).encode("utf-8", "backslashreplace")
