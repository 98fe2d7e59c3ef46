"""`pollbench gallery`: the claim files run one after the other, judged, as a table and a page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.analysis.claims import ClaimVerdict, agreed, findings
from harness.analysis.curves import Study
from harness.cli.ci import write_claims
from harness.cli.gallery_places import GalleryPlace, Piece, place_of, sets_of
from harness.cli.plan import in_words
from harness.cli.terminal import owner_of_results, print_styled, say, width_and_color
from harness.errors import EXIT_INTERRUPTED, EXIT_NOT_VALID, EXIT_OK, InputError
from harness.plan import make_plan
from harness.report import gallery as table
from harness.report.gallery import GalleryEntry
from harness.report.html.gallery import gallery_page
from harness.report.layout import to_text
from harness.signals import stop_on_signals
from harness.spec.load import check_cpus
from harness.spec.messages import did_you_mean
from harness.spec.shipped import shipped
from harness.store import ResultSet
from harness.store.atomic import explained, make_directories, write_file
from harness.tables.source import from_set

EARLIER = 4
"""Sets of the same plan, before the newest, that must agree with it."""


def gallery(arguments: argparse.Namespace) -> int:
    """Run, judge and show the claims; see `pollbench gallery --help`."""
    place = place_of(arguments)
    arguments.output = arguments.output or place.output
    pieces = [piece_of(path, arguments, place) for path in _chosen(arguments)]
    if arguments.list:
        return _listed(pieces, place, as_json=arguments.json)
    if arguments.no_run:
        return _finish(arguments, [_entry(piece, arguments, place) for piece in pieces], False)
    with stop_on_signals() as stopper:
        todo = [piece for piece in pieces if not _untestable(piece, place)]
        interrupted = place.run(todo, stopper)
        return _finish(arguments, [_entry(piece, arguments, place) for piece in pieces], interrupted)


def _chosen(arguments: argparse.Namespace) -> list[Path]:
    """The claim files asked for, in order. InputError for a name that none has."""
    files = sorted(_directory(arguments).glob("*.yaml"))
    if not files:
        raise InputError("find claims", str(_directory(arguments)), "there is no claim file (*.yaml)")
    chosen: list[Path] = []
    for name in arguments.name:
        names = (name, f"{name}.yaml")
        matching = [path for path in files if path.name in names or path.stem.startswith(f"{name}-")]
        if not matching:
            todo = did_you_mean(name, [path.stem for path in files], "claims")
            raise InputError(f'there is no claim "{name}"', todo=todo, where="NAME")
        chosen += matching
    return list(dict.fromkeys(chosen)) or files


def _directory(arguments: argparse.Namespace) -> Path:
    """Where claim files are: as asked, else here, else those that are shipped."""
    if arguments.source:
        return Path(arguments.source)
    here = Path("experiments/claims")
    return here if here.is_dir() else shipped(str(here))


def piece_of(path: Path, arguments: argparse.Namespace, place: GalleryPlace) -> Piece:
    """A claim file as the place is to run it. Raises InputError."""
    experiment = place.load(path, arguments.quick)
    if not experiment.claims:
        raise InputError("judge claims", str(path), "it has no claims", "add a section claims:", str(path))
    if not arguments.no_run and not arguments.list:
        check_cpus(experiment, place.cpus)
    return Piece(path, experiment, make_plan(experiment))


def _untestable(piece: Piece, place: GalleryPlace) -> tuple[ClaimVerdict, ...]:
    """The verdicts of a file if none of its claims can be tested there; empty if one can."""
    untestable = place.untestable(piece)
    return untestable if all(verdict.outcome == "cannot be tested here" for verdict in untestable) else ()


def _entry(piece: Piece, arguments: argparse.Namespace, place: GalleryPlace) -> GalleryEntry:
    """The file with the verdicts of its sets of this very plan and place."""
    sets = _sets(Path(arguments.output), piece, place)
    start = "pollbench gallery --in-vm" if arguments.in_vm else "sudo pollbench gallery"
    entry = GalleryEntry(
        name=piece.path.stem,
        path=str(piece.path),
        text=piece.experiment.data.decode(errors="replace"),
        description=piece.experiment.description,
        findings=_untestable(piece, place),
        command=f"{start} {piece.path.stem}{' --quick' if arguments.quick else ''}",
    )
    if not sets:
        return entry if entry.findings else replace(entry, findings=place.untestable(piece))
    sources = [from_set(results) for results in sets]
    claims = piece.experiment.claims
    judged = agreed([(source.label, findings(source, claims)) for source in sources])
    newest = sources[-1]
    return replace(entry, findings=judged, study=Study(newest, sets[-1]), label=newest.label)


def _sets(output: Path, piece: Piece, place: GalleryPlace) -> list[ResultSet]:
    """The newest finished sets of this file, oldest first; of unfinished ones only the very newest counts."""
    sets, whole = sets_of(output, piece, place), len(piece.plan.runs)
    counting = [results for results in sets if results is sets[-1] or len(results.finished()) >= whole]
    return counting[-1 - EARLIER :]


def _listed(pieces: Sequence[Piece], place: GalleryPlace, *, as_json: bool) -> int:
    """What would be run and how long it takes, and what cannot be tested there and why."""
    entries = [
        GalleryEntry(piece.path.stem, str(piece.path), "", piece.experiment.description, _untestable(piece, place))
        for piece in pieces
    ]
    if as_json:
        print(table.to_json(entries), end="")
        return EXIT_OK
    for piece, entry in zip(pieces, entries, strict=True):
        takes = f"{len(piece.plan.runs)} runs, about {in_words(place.takes_s([piece]))}"
        print(f"{entry.name}: {'cannot be tested here' if entry.findings else takes}")
        for claim in piece.experiment.claims.values():
            print(f"    {' '.join(claim.sentence.split())}")
        for finding in entry.findings[:1]:
            print(f"    ({finding.reason})")
    testable = [piece for piece, entry in zip(pieces, entries, strict=True) if not entry.findings]
    print(f"about {in_words(place.takes_s(testable))} in all{place.remark}")
    return EXIT_OK


def _finish(arguments: argparse.Namespace, entries: Sequence[GalleryEntry], interrupted: bool) -> int:
    """Write the page and the tables, print, and say where they are."""
    output, owner = Path(arguments.output), owner_of_results()
    page = gallery_page(entries, quick=arguments.quick).encode("utf-8", "backslashreplace")
    with explained("write the gallery", output):
        make_directories(output, owner)
        tables = {"claims.csv": table.to_csv(entries).encode(), "claims.json": table.to_json(entries).encode()}
        for name, data in {"gallery.html": page, **tables}.items():
            write_file(output / name, data, owner, output)
    width, color = width_and_color()
    where = f"Page: {output / 'gallery.html'}; table: {output / 'claims.csv'}"
    if arguments.json:
        print(table.to_json(entries), end="")
    else:
        print_styled(to_text(table.document(entries, width, where), width, color).rstrip("\n"))
    sys.stdout.flush()
    write_claims(arguments, [(entry.name, entry.findings) for entry in entries])
    _elsewhere(arguments, entries)
    if interrupted:
        say("pollbench: interrupted; go on with --resume")
        return EXIT_INTERRUPTED
    failed = sum(
        int((entry.study.source.runs["verdict"] == "failed").sum()) for entry in entries if entry.study is not None
    )
    if failed:
        say(f"pollbench: {failed} runs failed; pollbench show SET says why")
    return EXIT_NOT_VALID if failed else EXIT_OK


def _elsewhere(arguments: argparse.Namespace, entries: Sequence[GalleryEntry]) -> None:
    """Say which claims that this host cannot test can be tested in guests."""
    lacking = {}
    for entry in entries:
        if count := sum(finding.outcome == "cannot be tested here" for finding in entry.findings):
            lacking[entry.name] = count
    if not arguments.in_vm and lacking:
        quick = " --quick" if arguments.quick else ""
        say(f"pollbench: {sum(lacking.values())} claims that this host cannot test, guests can (without root):")
        say(f"    pollbench gallery --in-vm{quick} {' '.join(lacking)}")
