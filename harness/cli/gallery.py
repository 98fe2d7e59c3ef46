"""`pollbench gallery`: the claim files run one after the other, judged, as a table and a page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.claims import Finding, agreed, findings
from harness.claims.source import before_running
from harness.cli.files import overrides_of
from harness.cli.paper import paper
from harness.cli.run import carry_out, need_root
from harness.cli.say import say
from harness.errors import EXIT_INTERRUPTED, EXIT_NOT_VALID, EXIT_OK, InputError, Interrupted
from harness.kernel import facts
from harness.plan import Plan, check_cpus, estimate_s, load_experiment, make_plan
from harness.plots import Study
from harness.report import gallery as table
from harness.report.gallery import Entry
from harness.report.layout import to_text
from harness.spec.load import Experiment
from harness.spec.messages import did_you_mean
from harness.stopping import Stopper, stop_on_signals
from harness.store import ResultSet
from harness.store.atomic import explained, make_directories, write_file
from harness.tables.source import from_set

EARLIER = 4
"""Sets of the same plan, before the newest, that must agree with it."""


@dataclass(frozen=True)
class Piece:
    """A claim file ready to be run."""

    path: Path
    experiment: Experiment
    plan: Plan


@dataclass(frozen=True)
class Made:
    """What running a file left: its set, None where nothing could be run, and what interrupted it."""

    results: ResultSet | None
    interrupted: Interrupted | None = None


Runs = Callable[[Piece], Made]
"""Runs one file in some place; the seam where a virtual machine takes the host's place."""


def gallery(arguments: argparse.Namespace) -> int:
    """Run, judge and show the claims; see `pollbench gallery --help`."""
    pieces = [_piece(path, arguments) for path in _chosen(arguments)]
    if arguments.list:
        return _listed(pieces, as_json=arguments.json)
    if arguments.no_run:
        entries = [_entry(piece, arguments) for piece in pieces]
        return _finish(arguments, entries, interrupted=False)
    need_root("run the gallery")
    with stop_on_signals() as stopper:
        interrupted = _run_all(pieces, lambda piece: on_this_host(piece, arguments, stopper))
        entries = [_entry(piece, arguments) for piece in pieces]
        return _finish(arguments, entries, interrupted)


def on_this_host(piece: Piece, arguments: argparse.Namespace, stopper: Stopper) -> Made:
    """Run a file here: a new set, or with --resume what is missing of the newest one of the same plan."""
    if _untestable(piece):
        return Made(None)
    newest = ResultSet.latest(arguments.output, piece.plan.name)
    options = argparse.Namespace(
        wait=arguments.wait,
        redo=(),
        output=arguments.output,
        resume=bool(arguments.resume and newest is not None and newest.same_plan(piece.plan)),
        set=arguments.set,
    )
    results, interrupted = carry_out(options, piece.experiment, piece.plan, stopper)
    return Made(results, interrupted)


def _run_all(pieces: Sequence[Piece], run: Runs) -> bool:
    """Run every file; True when somebody stopped it."""
    for at, piece in enumerate(pieces, 1):
        say(f"pollbench: {at}/{len(pieces)} {piece.path.stem}")
        if run(piece).interrupted is not None:
            return True
    return False


def _chosen(arguments: argparse.Namespace) -> list[Path]:
    """The claim files asked for, in order. InputError for a name that none has."""
    files = sorted(_directory(arguments).glob("*.yaml"))
    if not files:
        raise InputError("find claims", str(_directory(arguments)), "there is no claim file (*.yaml)")
    chosen: list[Path] = []
    for name in arguments.name:
        found = [path for path in files if name in (path.stem, path.name) or path.stem.startswith(f"{name}-")]
        if not found:
            todo = did_you_mean(name, [path.stem for path in files], "claims")
            raise InputError(f'there is no claim "{name}"', todo=todo, where="NAME")
        chosen += found
    return list(dict.fromkeys(chosen)) or files


def _directory(arguments: argparse.Namespace) -> Path:
    """Where claim files are: as asked, else here, else beside the program's own source."""
    if arguments.source:
        return Path(arguments.source)
    here = Path("experiments/claims")
    return here if here.is_dir() else Path(__file__).parents[2] / here


def _piece(path: Path, arguments: argparse.Namespace) -> Piece:
    experiment = load_experiment(path, overrides_of(arguments.set), arguments.quick)
    if not experiment.claims:
        raise InputError("judge claims", str(path), "it has no claims", "add a section claims:", str(path))
    if not arguments.no_run and not arguments.list:
        check_cpus(experiment, facts.online_cpus())
    return Piece(path, experiment, make_plan(experiment))


def _untestable(piece: Piece) -> tuple[Finding, ...]:
    """The findings of a file of which no claim can be tested here, known before anything runs; else nothing."""
    found = before_running(
        piece.experiment.claims, piece.plan.to_json(), facts.environment(), facts.manifest()
    )
    return found if all(each.outcome == "cannot be tested here" for each in found) else ()


def _entry(piece: Piece, arguments: argparse.Namespace) -> Entry:
    """The file with the verdicts of its sets of this very plan."""
    sets = _sets(Path(arguments.output) / piece.plan.name, piece.plan)
    entry = Entry(
        name=piece.path.stem,
        path=str(piece.path),
        text=piece.experiment.data.decode(errors="replace"),
        description=piece.experiment.description,
        findings=_untestable(piece),
        command=f"sudo pollbench gallery {piece.path.stem}{' --quick' if arguments.quick else ''}",
    )
    if not sets:
        empty = before_running(piece.experiment.claims, {}, facts.environment(), facts.manifest())
        return entry if entry.findings else replace(entry, findings=empty)
    sources = [from_set(each) for each in sets]
    found = agreed([(each.label, findings(each, piece.experiment.claims)) for each in sources])
    return replace(entry, findings=found, study=Study(sources[-1], sets[-1]), label=sources[-1].label)


def _sets(directory: Path, plan: Plan) -> list[ResultSet]:
    """The newest finished sets of this plan, oldest first; of unfinished ones only the very newest counts."""
    found = []
    for path in sorted(directory.glob("*/plan.json"))[-4 * EARLIER :]:
        results = ResultSet.open(path.parent)
        if results.same_plan(plan):
            found.append(results)
    whole = len(plan.runs)
    return [each for each in found if each is found[-1] or len(each.finished()) >= whole][-1 - EARLIER :]


def _listed(pieces: Sequence[Piece], *, as_json: bool) -> int:
    """What would be run and how long it takes, and what cannot be tested here and why."""
    entries = [
        Entry(piece.path.stem, str(piece.path), "", piece.experiment.description, _untestable(piece))
        for piece in pieces
    ]
    if as_json:
        print(table.to_json(entries), end="")
        return EXIT_OK
    total = 0.0
    for piece, entry in zip(pieces, entries, strict=True):
        seconds = 0.0 if entry.findings else estimate_s(piece.plan)
        total += seconds
        takes = f"{len(piece.plan.runs)} runs, about {seconds:.0f} s" if seconds else "cannot be tested here"
        print(f"{entry.name}: {takes}")
        for claim in piece.experiment.claims.values():
            print(f"    {' '.join(claim.sentence.split())}")
        for each in entry.findings[:1]:
            print(f"    ({each.reason})")
    print(f"about {total / 60:.0f} min in all")
    return EXIT_OK


def _finish(arguments: argparse.Namespace, entries: Sequence[Entry], interrupted: bool) -> int:
    """Write the page and the tables, print, and say where they are."""
    from harness.cli.owner import owner_of_results
    from harness.report.html.gallery import gallery_page

    output, owner = Path(arguments.output), owner_of_results()
    page = gallery_page(entries, quick=arguments.quick).encode("utf-8", "backslashreplace")
    with explained("write the gallery", output):
        make_directories(output, owner)
        for name, data in (
            ("gallery.html", page),
            ("claims.csv", table.to_csv(entries).encode()),
            ("claims.json", table.to_json(entries).encode()),
        ):
            write_file(output / name, data, owner)
    width, color = paper()
    where = f"Page: {output / 'gallery.html'}; table: {output / 'claims.csv'}"
    if arguments.json:
        print(table.to_json(entries), end="")
    else:
        print(to_text(table.document(entries, width, where), width, color).rstrip("\n"))
    sys.stdout.flush()
    if interrupted:
        say("pollbench: interrupted; go on with --resume")
        return EXIT_INTERRUPTED
    failed = sum(
        int((entry.study.source.runs["verdict"] == "failed").sum())
        for entry in entries
        if entry.study is not None
    )
    if failed:
        say(f"pollbench: {failed} runs failed; pollbench show SET says why")
    return EXIT_NOT_VALID if failed else EXIT_OK


__all__ = ["Made", "Piece", "gallery", "on_this_host"]
