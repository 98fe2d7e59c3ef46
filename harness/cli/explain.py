"""`pollbench explain`: why the slow requests of a result set were slow; any OS, no root."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.analysis.tail import Above, CellTail, parse_above, tails
from harness.cli.terminal import print_styled, say, width_and_color
from harness.errors import EXIT_NOT_VALID, EXIT_OK, InputError
from harness.report.tail import tail_csv, tail_json, tail_text
from harness.store import ResultSet

FILE = "tail.csv"
ABOVE = "p99"


def explain(arguments: argparse.Namespace) -> int:
    """Print what held the slow requests up, cell by cell."""
    try:
        above = parse_above(arguments.above)
    except ValueError as error:
        raise InputError("choose the slow requests", got=str(error), where="--above") from None
    results = _newest(arguments.directory)
    explained = tails(results, above, arguments.case or ())
    if arguments.json:
        print(tail_json(explained, above.text))
    else:
        _print(explained, above, arguments.worst)
    for warning in results.warnings:
        say(f"pollbench: {warning}")
    return EXIT_OK if all(tail.account for tail in explained) else EXIT_NOT_VALID


def explain_set(results: ResultSet, *, quiet: bool) -> None:
    """After a run: the tables, unless quiet, and a row for each slow request in tail.csv of the set."""
    above = parse_above(ABOVE)
    explained = tails(results, above)
    results.write_file(FILE, tail_csv(explained))
    if not quiet:
        _print(explained, above, 0)
    say(f"the slow requests: {results.path / FILE}; more: pollbench explain {results.path} --worst 3")


def _print(explained: list[CellTail], above: Above, worst: int) -> None:
    width, color = width_and_color()
    print_styled(tail_text(explained, above.text, worst, width, color).rstrip("\n"))


def _newest(directory: str) -> ResultSet:
    """The set that a directory is, or the newest of those in it."""
    path = Path(directory)
    if not (path / "plan.json").is_file() and path.is_dir():
        newest = ResultSet.latest(path.parent, path.name)
        if newest is not None:
            return newest
    return ResultSet.open(path)
