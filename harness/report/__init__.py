"""Findings as text, markdown, CSV, JSON, a mail's table, a page, figures; computes nothing.

What makes a format is imported where it is made: a command prints in one, and should not wait for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.analysis.claims import ClaimVerdict
    from harness.analysis.compare import Comparison
    from harness.analysis.compare.gate import GateVerdict
    from harness.analysis.summary import Overview

    Claims = Sequence[tuple[str, Sequence[ClaimVerdict]]]

Format = Literal["text", "markdown", "csv", "json"]
FORMATS: tuple[Format, ...] = ("text", "markdown", "csv", "json")
CompareFormat = Literal["text", "markdown", "csv", "json", "kernel"]
COMPARE_FORMATS: tuple[CompareFormat, ...] = (*FORMATS, "kernel")


def show(view: Overview, fmt: Format = "text", width: int = 100, color: bool = False) -> str:
    """A result set in one format; `width` in columns and `color` (ANSI) matter to text only."""
    if fmt in ("csv", "json"):
        from harness.report import data

        return data.overview_csv(view) if fmt == "csv" else data.overview_json(view)
    from harness.report.charts import terminal
    from harness.report.layout import render
    from harness.report.resultset import document

    return render(document(view, terminal.blocks(view, width) if fmt == "text" else ()), fmt, width, color)


def compare(
    comparison: Comparison,
    fmt: CompareFormat = "text",
    width: int = 100,
    color: bool = False,
    claims: Claims = (),
    gates: Sequence[GateVerdict] = (),
    details: bool = False,
    chosen: Sequence[str] = (),
    measured: str = "",
) -> str:
    """A comparison in one format; `width` in columns and `color` (ANSI) matter to text only.

    details: a table per metric and how to read it, below the answer, in text and markdown. claims: those that inputs
    carry, with what to call the input; gates: what each --fail-if came to, for JSON. chosen, measured: the columns of
    the kernel's table, and what its caption says of the place.
    """
    if fmt in ("csv", "json"):
        from harness.report import data

        if fmt == "csv":
            return data.comparison_csv(comparison)
        return data.comparison_json(comparison, claims, gates)
    if fmt == "kernel":
        from harness.report.kernel import kernel_table

        return kernel_table(comparison, chosen, measured)
    from harness.report import layout
    from harness.report.comparison import answer

    blocks = answer(comparison, details)
    for label, verdicts in claims:
        from harness.report.claims import blocks as claim_blocks

        blocks += [layout.Gap(), *claim_blocks(verdicts, label)]
    return layout.render(blocks, fmt, width, color)


__all__ = ["COMPARE_FORMATS", "FORMATS", "CompareFormat", "Format", "compare", "show"]
