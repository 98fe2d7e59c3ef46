"""Findings as one self-contained HTML page; computes nothing that is not about drawing."""

from __future__ import annotations

from harness.report.html.page import page

__all__ = ["page"]
