"""Figures for papers, drawn by matplotlib: vector text, colours and markers as in the report."""

from __future__ import annotations

from harness.report.figures.figure import KINDS, Request, draw

__all__ = ["KINDS", "Request", "draw"]
