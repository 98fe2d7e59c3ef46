"""Findings as text for a terminal or a pipe, markdown, CSV or JSON; computes nothing."""

from __future__ import annotations

from typing import Literal

from harness.compare import Comparison
from harness.overview import Overview
from harness.report import comparison as _comparison
from harness.report import data, layout
from harness.report import show as _show

Format = Literal["text", "markdown", "csv", "json"]
FORMATS: tuple[Format, ...] = ("text", "markdown", "csv", "json")


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


def compare(found: Comparison, fmt: Format = "text", width: int = 100, color: bool = False) -> str:
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


__all__ = ["FORMATS", "Format", "compare", "show"]
