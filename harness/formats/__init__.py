"""What other programs print, as figures in our columns: one module a program, used by runs and imports alike."""

from __future__ import annotations

from functools import cache

from harness.formats.model import NOT_USED, Basis, Format, Head, Note, ReadOptions, Result, read_output
from harness.formats.registry import by_name, classes_in
from harness.formats.text import Line

__all__ = [
    "NOT_USED", "Basis", "Format", "Head", "Line", "Note", "ReadOptions", "Result", "load_formats", "read_output",
]  # fmt: skip


@cache
def load_formats() -> dict[str, Format]:
    """Every format of this package by its name, in the order of the names; ValueError where two have the same."""
    return {name: cls() for name, cls in by_name(classes_in(__name__, Format), lambda cls: cls.name).items()}
