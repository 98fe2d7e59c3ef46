"""`pollbench show`: tables again from what is on disk; any OS, no root."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from harness import report
from harness.cli.say import is_live
from harness.cli.state import quoted
from harness.errors import EXIT_OK
from harness.overview import overview
from harness.tables import load_source

_PIPE_WIDTH = 100


def show(arguments: argparse.Namespace) -> int:
    """Print a result set's tables."""
    print_overview(arguments.directory, arguments.format, arguments.baseline)
    return EXIT_OK


def print_overview(path: str | Path, fmt: report.Format, baseline: str | None = None) -> None:
    """The table that answers the question, and what was left out of it; for `run` and `show`."""
    width, color = paper()
    source = load_source(path)
    view = replace(overview(source, baseline), calibration=quoted([source.runs]))
    print(report.show(view, fmt, width, color).rstrip("\n"))


def paper() -> tuple[int, bool]:
    """Columns to fill, and whether to colour: a terminal's, or a fixed width without colour in a pipe."""
    if not is_live(sys.stdout):
        return _PIPE_WIDTH, False
    return shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns, "NO_COLOR" not in os.environ
