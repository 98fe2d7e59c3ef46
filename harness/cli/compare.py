"""`pollbench compare`: what differs, by how much, how sure, and whether that fails a check; any OS, no root."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness import report
from harness.analysis.compare import Comparison, Options, compare_cases, compare_sources
from harness.analysis.compare.align import aligned, resolved
from harness.analysis.compare.choose import KERNEL_METRICS, metrics_of
from harness.analysis.compare.common import refuse_nothing_common
from harness.analysis.compare.environment import texts_of
from harness.analysis.compare.gate import Gate, GateVerdict, judge, parse_gate
from harness.analysis.compare.sources import pivot
from harness.cli.calibrations import calibration_of
from harness.cli.ci import asked_for_tests, write_gates
from harness.cli.columns import metrics_asked, sources_of, with_columns
from harness.cli.terminal import print_styled, width_and_color
from harness.errors import EXIT_GATE, EXIT_OK, EXIT_UNDECIDED, InputError
from harness.report.gate import gate_lines
from harness.report.reading import lines as reading_lines
from harness.tables import Source

if TYPE_CHECKING:
    from harness.analysis.claims import ClaimVerdict


def compare(arguments: argparse.Namespace) -> int:
    """Print a comparison. Exit code 6 when a --fail-if condition is met, 4 when one is open and that is not allowed."""
    inputs: list[str] = arguments.input
    if len(inputs) == 1 and arguments.baseline is None:
        todo = "name a second result set or CSV file, or --baseline CASE to compare its cases"
        raise InputError("compare", inputs[0], "there is nothing to compare it with", todo)
    if len(inputs) > 1 and arguments.baseline is not None:
        got = "--baseline goes with one set, not with several"
        raise InputError("compare", got=got, todo="leave one of them out")
    sources = sources_of(inputs, arguments)
    gates = [parse_gate(text) for text in with_columns(arguments.fail_if, sources)]
    options = _options(arguments, sources, gates)
    calibration = calibration_of([source.table for source in sources])
    comparison = replace(_compared(sources, arguments.baseline, options), calibration=calibration)
    refuse_nothing_common(comparison, sources)
    verdicts = [judge(comparison, gate, by_estimate=arguments.fail_if_point) for gate in gates]
    agreement = _agreement(sources, arguments.format)
    width, color = width_and_color()
    claims, details = _claims(sources), arguments.all
    told = _caption(arguments, sources) if arguments.format == "kernel" else {}
    text = report.compare(comparison, arguments.format, width, color, claims, verdicts, details, **told)
    if arguments.format == "csv":
        for line in reading_lines(comparison.readings, guessed_only=True):
            print(f"pollbench: {line}", file=sys.stderr)
    show = print_styled if arguments.format == "text" else print
    show(text.rstrip("\n"))
    if agreement:
        show("\n" + agreement)
    for line in gate_lines(comparison, verdicts):
        print(f"pollbench: {line}", file=sys.stderr)
    if asked_for_tests(arguments):
        write_gates(arguments, comparison, verdicts)
    return gates_code(verdicts, arguments.undecided)


def _caption(arguments: argparse.Namespace, sources: Sequence[Source]) -> dict[str, Any]:
    """The columns that were asked for, and where the runs were made."""
    import pandas as pd

    from harness.report.resultset import host_line  # of all formats this one alone says it

    measured = host_line(pd.concat([source.runs for source in sources]))
    return {"chosen": metrics_asked(arguments, sources) or (), "measured": measured}


def gates_code(verdicts: Sequence[GateVerdict], undecided: str) -> int:
    """The exit code of conditions. undecided: "fail", where an open one is a failure of its own."""
    outcomes = {verdict.outcome for verdict in verdicts}
    if "failed" in outcomes:
        return EXIT_GATE
    return EXIT_UNDECIDED if outcomes - {"passed"} and undecided == "fail" else EXIT_OK


def _options(arguments: argparse.Namespace, sources: Sequence[Source], gates: Sequence[Gate]) -> Options:
    metrics = metrics_asked(arguments, sources)
    if arguments.format == "kernel" and metrics is None:
        there = [name for name in KERNEL_METRICS if any(name in source.table for source in sources)]
        metrics = tuple(there) or None
    # A metric that a condition names is compared, whether it is among those shown by default or not.
    chosen = metrics_of(aligned(sources), metrics)
    named = [gate.condition.metric for gate in gates]
    return Options(
        metrics=tuple(dict.fromkeys([*chosen, *named])),
        by=tuple(resolved(name, sources) for name in arguments.by) if arguments.by else None,
        filters=tuple(with_columns(arguments.filter, sources)),
        include=arguments.include,
        smallest_effect=None if arguments.sesoi is None else _share(arguments.sesoi),
        sort=arguments.sort,
    )


def _share(text: str) -> float:
    """The smallest effect of interest, as a share of 1. Raises InputError."""
    # Imported here: pydantic, which it brings, costs 50 ms.
    from harness.units import parse_share

    try:
        return parse_share(text)
    except ValueError as error:
        raise InputError("read --sesoi", got=str(error), where="--sesoi") from None


def _compared(sources: Sequence[Source], baseline: str | None, options: Options) -> Comparison:
    """Several sources with the first of them, or the cases of a single one with its baseline."""
    if baseline is None:
        return compare_sources(sources, options)
    (source,) = sources
    by = ""
    if "=" in baseline and baseline not in source.table.texts("case").distinct():
        by = baseline.partition("=")[0]
        source, baseline = pivot(source, baseline)
    return compare_cases(source, baseline, options, by)


def _claims(sources: Sequence[Source]) -> list[tuple[str, Sequence[ClaimVerdict]]]:
    """What the sets claim and what became of it, by what to call the set."""
    # Only sets have claims; what judges them costs 100 ms to load.
    planned = [source for source in sources if source.plan]
    if not planned:
        return []
    from harness.analysis.claims import findings

    return [(source.label, judged) for source in planned if (judged := findings(source))]


def _agreement(sources: Sequence[Source], fmt: str) -> str:
    """Which conclusions of a host's and a guest's set agree; empty for other sources, and in other formats."""
    if fmt not in ("text", "markdown") or len(sources) != 2:
        return ""
    places = {(texts_of(source.table, "place"), texts_of(source.table, "accelerator")) for source in sources}
    if len(places) < 2:
        return ""
    from harness.analysis.agreement import agreement, places_differ
    from harness.report.agreement import document
    from harness.report.layout import render

    if not places_differ(sources):
        return ""
    blocks = document(agreement(sources[0], sources[1]))
    return render(blocks, fmt, *width_and_color()).rstrip("\n")
