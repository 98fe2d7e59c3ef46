"""Findings as text for a terminal or a pipe, markdown, CSV, JSON or a mail's table; computes nothing."""

from __future__ import annotations

from typing import Literal

from harness.compare import Comparison
from harness.overview import Overview
from harness.report import comparison as _comparison
from harness.report import data, layout
from harness.report import show as _show
from harness.report.kernel import METRICS as KERNEL_METRICS
from harness.report.kernel import kernel_table

Format = Literal["text", "markdown", "csv", "json"]
FORMATS: tuple[Format, ...] = ("text", "markdown", "csv", "json")
CompareFormat = Literal["text", "markdown", "csv", "json", "kernel"]
COMPARE_FORMATS: tuple[CompareFormat, ...] = (*FORMATS, "kernel")


def show(view: Overview, fmt: Format = "text", width: int = 100, color: bool = False) -> str:
    """A result set in one format; `width` in columns and `color` (ANSI) matter to text only."""
    match fmt:
        case "text":
            return layout.to_text(_show.document(view), width, color)
        case "markdown":
            return layout.to_markdown(_show.document(view))
        case "csv":
            return data.overview_csv(view)
        case "json":
            return data.overview_json(view)


def compare(found: Comparison, fmt: CompareFormat = "text", width: int = 100, color: bool = False) -> str:
    """A comparison in one format; `width` in columns and `color` (ANSI) matter to text only."""
    match fmt:
        case "text":
            return layout.to_text(_comparison.document(found), width, color)
        case "markdown":
            return layout.to_markdown(_comparison.document(found))
        case "csv":
            return data.comparison_csv(found)
        case "json":
            return data.comparison_json(found)
        case "kernel":
            return kernel_table(found)


__all__ = ["COMPARE_FORMATS", "FORMATS", "KERNEL_METRICS", "CompareFormat", "Format", "compare", "show"]
