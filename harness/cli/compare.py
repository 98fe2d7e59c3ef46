"""`pollbench compare`: what differs, by how much, how sure, and whether that fails a check; any OS, no root."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness import columns, report
from harness.analysis.compare import Comparison, Options, compare_cases, compare_sources
from harness.analysis.compare.choose import KERNEL_METRICS, choose_metrics
from harness.analysis.compare.environment import texts_of
from harness.analysis.compare.gate import Gate, GateResult, judge, parse_gate
from harness.analysis.compare.sources import turned
from harness.cli.calibrations import quoted
from harness.cli.terminal import paper
from harness.errors import EXIT_NOT_VALID, EXIT_OK, InputError
from harness.report import words
from harness.tables import Source, load_source

if TYPE_CHECKING:
    from harness.analysis.claims import ClaimVerdict


def compare(arguments: argparse.Namespace) -> int:
    """Print a comparison; exit code 1 when a --fail-if condition is met."""
    gates = [parse_gate(text) for text in arguments.fail_if]
    inputs: list[str] = arguments.input
    if len(inputs) == 1 and arguments.baseline is None:
        raise InputError(
            "compare",
            inputs[0],
            "there is nothing to compare it with",
            "name a second result set or CSV file, or --baseline CASE to compare its cases",
        )
    if len(inputs) > 1 and arguments.baseline is not None:
        raise InputError(
            "compare", got="--baseline goes with one set, not with several", todo="leave one of them out"
        )
    sources = [load_source(path) for path in inputs]
    options = _options(arguments, sources, gates)
    if len(sources) == 1:
        source, baseline = sources[0], arguments.baseline
        if "=" in baseline and baseline not in set(source.runs["case"]):
            source, baseline = turned(source, baseline)
        found = compare_cases(source, baseline, options)
    else:
        found = compare_sources(sources, options)
    found = replace(found, calibration=quoted([source.runs for source in sources]))
    width, color = paper()
    # Only sets have claims and cases to agree on; what judges them costs 100 ms to load.
    planned = [source for source in sources if source.plan]
    print(report.compare(found, arguments.format, width, color, _claims(planned)).rstrip("\n"))
    if arguments.format in ("text", "markdown") and len(sources) == 2:
        _agree(sources, arguments.format)
    return _judged(found, gates, by_estimate=arguments.fail_if_point)


def _claims(sources: Sequence[Source]) -> list[tuple[str, Sequence[ClaimVerdict]]]:
    """What the sets claim and what became of it, by what to call the set."""
    if not sources:
        return []
    from harness.analysis.claims import findings

    return [(source.label, each) for source in sources if (each := findings(source))]


def _agree(sources: Sequence[Source], fmt: str) -> None:
    """Which conclusions of a host's and a guest's set agree; nothing for sets of one place."""
    if len({(texts_of(each.runs, "place"), texts_of(each.runs, "accelerator")) for each in sources}) < 2:
        return
    from harness.analysis.agreement import agreement, places_differ
    from harness.report.agreement import document
    from harness.report.layout import render

    if places_differ(sources):
        print("\n" + render(document(agreement(sources[0], sources[1])), fmt, *paper()).rstrip("\n"))


def _options(arguments: argparse.Namespace, sources: Sequence[Source], gates: Sequence[Gate]) -> Options:
    smallest = None
    if arguments.sesoi is not None:
        # Imported here: pydantic, which it brings, costs 50 ms.
        from harness.units import parse_share

        try:
            smallest = parse_share(arguments.sesoi)
        except ValueError as error:
            raise InputError("read --sesoi", got=str(error), where="--sesoi") from None
    options = Options(
        metrics=tuple(arguments.metric) if arguments.metric else None,
        by=tuple(arguments.by) if arguments.by else None,
        filters=tuple(arguments.filter),
        include=arguments.include,
        smallest_effect=smallest,
        sort=arguments.sort,
    )
    if arguments.format == "kernel" and options.metrics is None:
        there = [name for name in KERNEL_METRICS if any(name in source.runs for source in sources)]
        options = replace(options, metrics=tuple(there) or None)
    # A metric that a condition names is compared, whether it is among those shown by default or not.
    chosen = choose_metrics([source.runs for source in sources], options.metrics)
    named = [gate.condition.metric for gate in gates]
    return replace(options, metrics=tuple(dict.fromkeys([*chosen, *named])))


def _judged(found: Comparison, gates: Sequence[Gate], *, by_estimate: bool) -> int:
    """Say on stderr what each condition came to; exit code 1 when one is met."""
    failed = False
    for gate in gates:
        findings = list(judge(found, gate, by_estimate=by_estimate))
        for finding in findings:
            if finding.met:
                print(f"pollbench: failed by {_said(found, finding)}", file=sys.stderr)
                failed = True
        unjudged = [finding for finding in findings if finding.unjudged]
        if unjudged:
            first = unjudged[0]
            where = words.cell(first.row.case, first.row.factors)
            print(
                f"pollbench: not judged for {len(unjudged)} of {len(findings)} cells: {gate.text} "
                f"({where}: {first.unjudged})",
                file=sys.stderr,
            )
    return EXIT_NOT_VALID if failed else EXIT_OK


def _said(found: Comparison, finding: GateResult) -> str:
    row, condition = finding.row, finding.gate.condition
    unit = "%" if condition.quantity == "ratio" else columns.metric(condition.metric).unit
    interval = finding.interval

    def form(value: float) -> str:
        if condition.quantity == "level":
            return words.short(value)
        return words.signed(100 * (value - 1) if condition.quantity == "ratio" else value)

    ends = f" [{form(interval.low)}..{form(interval.high)}]" if interval else ""
    value = form(finding.value or 0.0)
    where = words.cell(row.case, row.factors)
    letter = f" ({found.inputs[row.against].letter})" if len(found.inputs) > 2 else ""
    return f"{finding.gate.text}: {where}{letter}: {value} {unit}{ends}"
