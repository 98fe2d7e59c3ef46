"""`pollbench show` and `compare`: tables again from what is on disk; any OS, no root."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from harness import report
from harness.cli.say import is_live
from harness.compare import compare_cases, compare_sources
from harness.errors import EXIT_OK, InputError
from harness.overview import overview
from harness.tables import load_source

_PIPE_WIDTH = 100


def show(arguments: argparse.Namespace) -> int:
    """Print a result set's tables."""
    print_overview(arguments.directory, arguments.format, arguments.baseline)
    return EXIT_OK


def print_overview(path: str | Path, fmt: report.Format, baseline: str | None = None) -> None:
    """The table that answers the question, and what was left out of it; for `run` and `show`."""
    width, color = _paper()
    print(report.show(overview(load_source(path), baseline), fmt, width, color).rstrip("\n"))


def compare(arguments: argparse.Namespace) -> int:
    """Set one result set or CSV file against another, or the cases of one against a baseline case."""
    if arguments.b is None:
        if arguments.baseline is None:
            raise InputError(
                "compare",
                arguments.a,
                "there is nothing to compare it with",
                "name a second result set or CSV file, or --baseline CASE to compare its cases",
            )
        found = compare_cases(load_source(arguments.a), arguments.baseline, arguments.metric)
    else:
        if arguments.baseline is not None:
            raise InputError(
                "compare", got="--baseline goes with one set, not with two", todo="leave one of them out"
            )
        found = compare_sources(load_source(arguments.a), load_source(arguments.b), arguments.metric)
    width, color = _paper()
    print(report.compare(found, arguments.format, width, color).rstrip("\n"))
    return EXIT_OK


def _paper() -> tuple[int, bool]:
    """Columns to fill, and whether to colour: a terminal's, or a fixed width without colour in a pipe."""
    if not is_live(sys.stdout):
        return _PIPE_WIDTH, False
    return shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns, "NO_COLOR" not in os.environ
