"""`pollbench report`: one or more result sets as a single HTML file; any OS, no root."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.analysis.compare import Comparison, compare_cases, compare_sources
from harness.analysis.curves import Study, load_study
from harness.analysis.summary import Overview, overview
from harness.errors import EXIT_OK
from harness.report.html import page
from harness.store.atomic import explained, write_file


def report(arguments: argparse.Namespace) -> int:
    """Write the page and say where it is."""
    studies = [load_study(path, arguments.include) for path in arguments.directory]
    sets = [(study, overview(study.source, arguments.baseline)) for study in studies]
    data = page(sets, _comparison(sets)).encode("utf-8", "backslashreplace")
    target = Path(arguments.output) if arguments.output else _default(studies)
    with explained("write the report", target, keep="nothing was changed"):
        write_file(target, data, studies[0].results.owner if studies[0].results else None)
    print(f"report: {target} ({len(data) / 1e6:.2f} MB)", file=sys.stderr)
    return EXIT_OK


def _comparison(sets: list[tuple[Study, Overview]]) -> Comparison | None:
    """Several sets with one another; of a single one its cases with the baseline, if it has any."""
    if len(sets) > 1:
        return compare_sources([study.source for study, _ in sets])
    (study, view) = sets[0]
    if not view.baseline or not any(cell.changes for cell in view.cells):
        return None
    return compare_cases(study.source, view.baseline)


def _default(studies: list[Study]) -> Path:
    """Beside the runs of a single set, else in the directory we are in."""
    first = studies[0].results
    return first.path / "report.html" if len(studies) == 1 and first is not None else Path("report.html")
