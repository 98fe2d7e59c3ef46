"""What the conditions of `compare --fail-if` came to, in words and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from harness import columns
from harness.analysis.compare import Comparison
from harness.analysis.compare.gate import GATE_OUTCOMES, GateResult, GateVerdict
from harness.report import words
from harness.report.words import Json


def gate_lines(comparison: Comparison, verdicts: Sequence[GateVerdict]) -> Iterator[str]:
    """A line for each condition, and below it one for each cell that it failed by, or that is open."""
    for verdict in verdicts:
        counts = Counter(result.outcome for result in verdict.results if result.row)
        tally = ", ".join(f"{counts[name]} {name}" for name in GATE_OUTCOMES if counts[name]) or "no cells"
        yield f"--fail-if {verdict.gate.text}: {_shout(verdict.outcome)} ({tally})"
        for name in GATE_OUTCOMES[:-1]:
            for result in verdict.results:
                if result.outcome == name:
                    yield f"  {_shout(name)}: {': '.join(result_words(comparison, result))}"


def result_words(comparison: Comparison, result: GateResult) -> tuple[str, str]:
    """The cell that a condition was judged in, and why it came to that."""
    return _cell(comparison, result), _reason(result)


def gates_json(comparison: Comparison, verdicts: Sequence[GateVerdict]) -> Json:
    """The same for programs: ratios as ratios, differences and levels in the metric's unit."""
    return [
        {
            "condition": verdict.gate.text,
            "metric": verdict.gate.condition.metric,
            "quantity": verdict.gate.condition.quantity,
            "outcome": verdict.outcome,
            "cells": [
                {
                    "case": result.row.case,
                    "factors": dict(result.row.factors),
                    "against": comparison.inputs[result.row.against].letter,
                    "outcome": result.outcome,
                    "value": result.value,
                    "low": result.interval.low if result.interval else None,
                    "high": result.interval.high if result.interval else None,
                    "why": result.why,
                }
                for result in verdict.results
                if result.row
            ],
        }
        for verdict in verdicts
    ]


def _shout(outcome: str) -> str:
    return outcome.upper() if outcome == "failed" else outcome


def _cell(comparison: Comparison, result: GateResult) -> str:
    if result.row is None:
        return "every cell"
    letter = f" ({comparison.inputs[result.row.against].letter})" if len(comparison.inputs) > 2 else ""
    return words.cell(result.row.case, result.row.factors) + letter


def _reason(result: GateResult) -> str:
    if result.outcome == "not judged" or result.value is None:
        return result.why
    condition = result.gate.condition
    unit = "%" if condition.quantity == "ratio" else columns.metric(condition.metric).unit

    def form(value: float) -> str:
        if condition.quantity == "level":
            return words.short(value)
        return words.signed(100 * (value - 1) if condition.quantity == "ratio" else value)

    interval = result.interval
    ends = f" [{form(interval.low)}..{form(interval.high)}]" if interval else ""
    why = f": {result.why}" if result.why else ""
    return f"{form(result.value)} {unit}".rstrip() + ends + why
