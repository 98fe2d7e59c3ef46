"""`pollbench plot`: one figure for a paper; any OS, no root."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from harness.analysis.compare import Factors
from harness.analysis.curves import load_study
from harness.analysis.curves.gather import narrowed
from harness.analysis.summary import Overview, overview
from harness.errors import EXIT_NOT_VALID, EXIT_OK, InputError, MissingError, PollbenchError
from harness.report import words
from harness.store.atomic import explained, write_file

# Inches: a column of a journal is 3.4 wide, a poster 40.
_WIDTHS = (1.0, 60.0)


def plot(arguments: argparse.Namespace) -> int:
    """Draw the figure and write it whole."""
    try:
        from harness.report.figures import FigureRequest, draw
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "matplotlib":
            raise
        todo = f"type: {sys.executable} -m pip install matplotlib"
        raise MissingError("plot", got="matplotlib is not installed", todo=todo) from error
    if not _WIDTHS[0] <= arguments.width <= _WIDTHS[1]:
        got = f"{arguments.width:g} inches"
        raise InputError("plot", on="--width", got=got, todo=f"expected {_WIDTHS[0]:g} to {_WIDTHS[1]:g}")
    whole = load_study(arguments.directory, arguments.include)
    study = narrowed(whole, arguments.case or (), _places(arguments.at))
    baseline = arguments.baseline if arguments.baseline in (arguments.case or [arguments.baseline]) else None
    view = overview(study.source, baseline)
    undrawn = [] if arguments.run else _undrawn(view)
    if not any(cell.verdicts["valid"] for cell in view.cells) and not arguments.run:
        why = "; ".join(undrawn) or "it has no runs"
        raise PollbenchError(
            "draw", arguments.directory, why, "pollbench show says why; --include suspect counts doubtful ones"
        )
    request = FigureRequest(study, view, arguments.metric, arguments.run or (), arguments.width)
    target = Path(arguments.output)
    data = draw(arguments.kind, request, target.suffix.removeprefix(".").lower())
    with explained("write the figure", target, keep="nothing was changed"):
        write_file(target, data, study.results.owner if study.results else None)
    for warning in study.results.warnings if study.results else ():
        print(f"pollbench: {warning}", file=sys.stderr)
    for text in undrawn:
        print(f"pollbench: not drawn: {text}", file=sys.stderr)
    return EXIT_NOT_VALID if undrawn else EXIT_OK


def _undrawn(view: Overview) -> list[str]:
    """Under which factors no run is valid, and how they went."""
    groups: dict[Factors, Counter[str]] = {}
    for cell in view.cells:
        groups.setdefault(cell.factors, Counter()).update(cell.verdicts)
    return [
        f"{words.where(factors)}: none of {words.runs(sum(verdicts.values()))} is valid ({words.counts(verdicts)})"
        for factors, verdicts in groups.items()
        if not verdicts["valid"]
    ]


def _places(texts: list[str]) -> dict[str, str]:
    values = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise InputError("plot", on=f"--at {text}", got="not of the form FACTOR=VALUE")
        values[name] = value
    return values
