"""`pollbench suite`: a pinned set of experiments over kernels in guests; what changed from release to release."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from harness.analysis.claims import findings
from harness.analysis.compare.gate import Gate, GateVerdict, judge
from harness.analysis.curves import Study, load_study
from harness.analysis.releases import Release, history, releases
from harness.cli.ci import own_gates, write_tests
from harness.cli.compare import gates_code
from harness.cli.gallery import piece_of
from harness.cli.gallery_places import GalleryGuests, Piece
from harness.cli.plan import in_words
from harness.cli.terminal import owner_of_results, print_styled, say, width_and_color
from harness.errors import EXIT_INTERRUPTED, EXIT_NOT_VALID, EXIT_OK, InputError
from harness.places.vm.kernels import FACTOR
from harness.places.vm.recipe import KERNELS
from harness.report import suite as wording
from harness.report import trend
from harness.report.ci import CiTest, claims_as_tests, conditions_as_tests
from harness.report.comparison import answer
from harness.report.gallery import GalleryEntry, measured_on, model_time_of
from harness.report.gate import gate_lines
from harness.report.html.document import blocks
from harness.report.html.gallery import gallery_page
from harness.report.html.markup import section
from harness.report.html.suite import suite_page
from harness.report.layout import to_text
from harness.signals import stop_on_signals
from harness.spec.shipped import shipped
from harness.store.atomic import explained, make_directories, write_file
from harness.store.regular import read_regular

Entries = dict[str, list[GalleryEntry]]


def suite(arguments: argparse.Namespace) -> int:
    """Measure what is asked for, then judge every release that is there; see `pollbench suite --help`."""
    gates = own_gates(arguments.fail_if)
    if not (arguments.kernel or arguments.bzimage or arguments.no_run):
        arguments.kernel = list(KERNELS)
    place = GalleryGuests(arguments, always=True)
    home = max(shipped("experiments/suite").iterdir(), key=lambda path: int(path.name))
    pieces = [piece_of(path, arguments, place) for path in sorted(home.glob("*.yaml"))]
    if arguments.list:
        return _listed(pieces, place)
    interrupted = False
    if not arguments.no_run:
        with stop_on_signals() as stopper:
            interrupted = place.run(pieces, stopper)
    made, entries = _gathered(Path(arguments.output), pieces)
    code = _finish(arguments, f"pollbench suite {home.name}", made, entries)
    asked = place.labels or [made[-1].label]
    judged = [(one, [judge(one.comparison, gate) for gate in gates]) for one in made if one.comparison]
    judged = [(one, verdicts) for one, verdicts in judged if one.label in asked]
    write_tests(arguments, lambda: list(_tests(entries, asked, judged)))
    gated = _said(judged, gates)
    if interrupted:
        say("pollbench: interrupted; go on with --resume")
        return EXIT_INTERRUPTED
    return gated or code


def _listed(pieces: Sequence[Piece], place: GalleryGuests) -> int:
    for piece in pieces:
        print(f"{piece.path.stem}: {len(piece.plan.runs)} runs. {' '.join(piece.experiment.description.split())}")
    print(f"about {in_words(place.takes_s(pieces))} in all{place.remark}")
    return EXIT_OK


def _gathered(output: Path, pieces: Sequence[Piece]) -> tuple[list[Release], Entries]:
    """The releases of all sets of these very files under the accelerator of the newest, and what became of claims."""
    studies = [(piece.path.stem, study) for piece in pieces for study in _studies(output, piece)]
    if not studies:
        raise InputError("judge releases", str(output), "there is no set of this suite", "run it without --no-run")
    _, newest = max(studies, key=lambda item: item[1].source.label.rpartition("/")[2])
    studies = [(name, study) for name, study in studies if _accelerators(study) == _accelerators(newest)]
    made = releases([(name, study.source) for name, study in studies], FACTOR)
    results = {study.source.label: study.results for _, study in studies}
    entries: Entries = {}
    for release in made:
        for piece in pieces:
            if (source := release.parts.get(piece.path.stem)) is not None:
                entry = GalleryEntry(
                    name=piece.path.stem,
                    path=str(piece.path),
                    text=piece.experiment.data.decode(),
                    description=piece.experiment.description,
                    findings=findings(source, piece.experiment.claims),
                    study=Study(source, results[source.label]),
                    label=source.label,
                    command=f"pollbench suite --kernel {release.label}",
                )
                entries.setdefault(release.label, []).append(entry)
    return made, entries


def _studies(output: Path, piece: Piece) -> Iterator[Study]:
    """The sets of a file, byte for byte, oldest first; whatever else lies there is of another suite."""
    for path in sorted((output / piece.plan.name).glob("*/experiment.yaml")):
        kept = b""
        with suppress(OSError):
            kept = read_regular(path)
        if kept == piece.experiment.data:
            study = load_study(path.parent)
            if FACTOR in study.source.table:
                yield study


def _accelerators(study: Study) -> list[str]:
    return study.source.table.texts("accelerator").distinct()


def _finish(arguments: argparse.Namespace, name: str, made: Sequence[Release], entries: Entries) -> int:
    """Write the pages and the tables, and print; the exit code by runs that failed."""
    output, owner, view = Path(arguments.output), owner_of_results(), history(made)
    shown = entries[made[-1].label]
    measured = measured_on(shown), model_time_of(shown)
    overview = wording.document(name, made, entries, view, measured)
    files = {
        "index.html": suite_page(name, overview, view),
        "suite.json": wording.to_json(name, made, entries, view),
        "suite.csv": trend.trend(view, "csv", 0, False),
        **{wording.page_name(one): _page(name, one, entries[one.label]) for one in made},
    }
    with explained("write the suite", output):
        make_directories(output, owner)
        for file, text in files.items():
            write_file(output / file, text.encode("utf-8", "backslashreplace"), owner, output)
    width, color = width_and_color()
    where = f"Pages: {output / 'index.html'} and one for each release; table: {output / 'suite.csv'}"
    if arguments.json:
        print(files["suite.json"], end="")
    else:
        document = wording.document(name, made, entries, view, (*measured, where))
        print_styled(to_text(document, width, color).rstrip("\n"))
    failed = sum(int((one.whole.runs["verdict"] == "failed").sum()) for one in made)
    if failed:
        say(f"pollbench: {failed} runs failed; pollbench show SET says why")
    return EXIT_NOT_VALID if failed else EXIT_OK


def _page(name: str, release: Release, entries: Sequence[GalleryEntry]) -> str:
    """The page of a release: what changed against the one before it, and its claims."""
    changes = release.comparison
    title = f"{release.label}, {name}"
    before = [section("changes", f"Against {release.against}", blocks(answer(changes, True)))] if changes else []
    return gallery_page(entries, title=title, before=before)


def _tests(
    entries: Entries, asked: Sequence[str], judged: Sequence[tuple[Release, Sequence[GateVerdict]]]
) -> Iterator[CiTest]:
    """The claims of every release that was asked for, and the conditions it was held against."""
    for label in asked:
        for entry in entries.get(label, ()):
            yield from claims_as_tests(f"{label}: {entry.name}", entry.findings)
    for release, verdicts in judged:
        for test in conditions_as_tests(release.comparison, verdicts) if release.comparison else ():
            yield replace(test, suite=f"{release.label} against {release.against}: {test.suite}")


def _said(judged: Sequence[tuple[Release, Sequence[GateVerdict]]], gates: Sequence[Gate]) -> int:
    """The exit code of the conditions, and what became of each."""
    for release, verdicts in judged:
        for line in gate_lines(release.comparison, verdicts) if release.comparison else ():
            say(f"pollbench: {release.label} against {release.against}: {line}")
    if gates and not judged:
        say("pollbench: --fail-if: there is no release before it to compare with")
    return gates_code([verdict for _, verdicts in judged for verdict in verdicts], "fail")
