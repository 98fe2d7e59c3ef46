"""Figures for papers, drawn by matplotlib: vector text, colours and markers as in the report."""

from __future__ import annotations

from harness.report.figures.figure import KINDS, FigureRequest, draw

__all__ = ["KINDS", "FigureRequest", "draw"]
