"""`pollbench show`: tables again from what is on disk; any OS, no root."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from harness import report
from harness.analysis.summary import overview
from harness.cli.calibrations import calibration_of
from harness.cli.columns import sources_of
from harness.cli.terminal import print_styled, width_and_color
from harness.errors import EXIT_OK
from harness.tables import Source, load_source
from harness.tables.source import counting


def show(arguments: argparse.Namespace) -> int:
    """Print a result set's tables."""
    (source,) = sources_of([arguments.directory], arguments)
    _print(counting(source, arguments.include), arguments.format, arguments.baseline)
    return EXIT_OK


def print_set(path: str | Path, fmt: report.Format) -> None:
    """The table that answers the question, and what was left out of it; for `run`, as `show` prints it."""
    _print(load_source(path), fmt)


def _print(source: Source, fmt: report.Format, baseline: str | None = None) -> None:
    width, color = width_and_color()
    view = replace(overview(source, baseline), calibration=calibration_of([source.table]))
    text = report.show(view, fmt, width, color).rstrip("\n")
    (print_styled if fmt == "text" else print)(text)
