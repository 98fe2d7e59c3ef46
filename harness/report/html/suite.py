"""A suite's overview as one self-contained page: verdicts and changes, and every figure drawn over the releases."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.trend import Trend
from harness.report.html.document import blocks
from harness.report.html.markup import section, tag
from harness.report.html.page import assembled
from harness.report.html.trend import drawn
from harness.report.layout import Block


def suite_page(name: str, document: Sequence[Block], view: Trend) -> str:
    """The page as an HTML document. name: the suite and its version."""
    look, panels = drawn(view)
    top = tag("header", tag("h1", name))
    content = [section("releases", "Releases", blocks(document), short="Releases"), *panels]
    return assembled(f"{name} – pollbench suite", look.css(), top, content, command="suite")
