"""Writes the key tables of docs/experiment-file.md anew from the models; the rest of the page stays."""

from __future__ import annotations

from pathlib import Path

from harness.spec.reference import render

PAGE = Path(__file__).parent.parent / "docs" / "experiment-file.md"

if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
