"""`pollbench tune`: the best of many settings, by a race, with a stated chance of being wrong."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from dataclasses import replace
from typing import Any

from harness import columns
from harness.analysis.tune.answer import Answer, answer, as_json
from harness.analysis.tune.course import Course, expected_runs, run_s, without
from harness.cli.carry_out import new_set, write_tables
from harness.cli.plan import in_words, overrides_of
from harness.cli.terminal import owner_of_results, say
from harness.cli.tune_places import TunePlace, make, place_of
from harness.errors import EXIT_INTERRUPTED, EXIT_NOT_VALID, EXIT_OK, InputError, Interrupted
from harness.places.place import Place
from harness.plan import Experiment, load_experiment
from harness.report import tuning as words
from harness.signals import stop_on_signals
from harness.spec.yaml_tree import tree_of
from harness.store import ResultSet, codec
from harness.store.regular import read_regular


def tune(arguments: argparse.Namespace) -> int:
    """Race the settings of a file; see `pollbench tune --help`."""
    if arguments.judge:
        return _judge(arguments)
    if arguments.resume:
        return _resume(arguments)
    if arguments.verify:
        from harness.cli.tune_verify import verify

        return verify(arguments)
    if arguments.file is None:
        todo = "name an experiment file, or a set by --resume, --judge or --verify"
        raise InputError("tune", got="there is no file", todo=todo, where="FILE")
    where = place_of(arguments)
    overrides = [*_overrides(arguments), *where.overrides()]
    experiment = load_experiment(arguments.file, overrides, arguments.quick, where.guest)
    course, lacking = _course_of(experiment, arguments.seed, where)
    _check(course, where)
    if arguments.plan:
        return _print_plan(course, as_json_text=arguments.json)
    with stop_on_signals() as stopper, where.opened(stopper) as place:
        plan = course.plan()
        results = new_set(place, plan, experiment.data, arguments.output, tune={"lacking": lacking})
        return _carry_out(course, results, where, place, as_json_text=arguments.json)


def _resume(arguments: argparse.Namespace) -> int:
    """Go on with a tuning that was ended before its answer, or has a larger budget now."""
    results = ResultSet.open(arguments.resume, owner_of_results())
    where = place_of(arguments, results)
    overrides = _overrides(arguments)
    _check(course_of_set(results, overrides), where)
    # Whoever looks at the set later asks what was asked last.
    noted = results.manifest["tune"] | {"overrides": [*results.manifest["tune"].get("overrides", []), *overrides]}
    if ended := _ended(results):
        # It had come to its end: what a larger budget adds is in blocks of its own, measured together.
        noted |= {"ended": [*noted.get("ended", []), ended]}
    with stop_on_signals() as stopper, where.opened(stopper) as place:
        place.accept(results)
        # A resume that is refused asks nothing.
        results.note(tune=noted)
        results.remove_leftovers()
        return _carry_out(course_of_set(results, []), results, where, place, as_json_text=arguments.json)


def _ended(results: ResultSet) -> list[int] | None:
    """(steps that chose, last block) of a tuning that has its answer; None of one that was ended before."""
    try:
        steps = json.loads(read_regular(results.path / "tune.json"))["steps"]
        return [sum(step["kind"] != "confirm" for step in steps), max(step["block"] for step in steps)]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _judge(arguments: argparse.Namespace) -> int:
    """Ask the runs of a set, perhaps another question; nothing is measured, and nothing written."""
    results = ResultSet.open(arguments.judge)
    course = course_of_set(results, [])
    records = {record.run_id: record for record in results.records()}
    while (runs := course.next()) is not None:
        if not all(run.run_id in records for run in runs):
            course.give_up()
            break
        course.take(records)
    if overrides := _overrides(arguments):
        course.ask(course_of_set(results, overrides).tuning)
    result = answer(course)
    if not overrides:
        _say_replayed(results, as_json(course, result))
    return _report(course, result, results, as_json_text=arguments.json, kept=not overrides)


def _say_replayed(results: ResultSet, document: dict[str, object]) -> None:
    """Whether the decisions are those that were kept, to the byte."""
    with suppress(OSError):
        same = read_regular(results.path / "tune.json") == codec.to_json(document)
        say("pollbench: replayed: " + ("the same decisions" if same else "tune.json has other decisions"))


def course_of_set(results: ResultSet, overrides: list[tuple[str, str]]) -> Course:
    """The course of a set on disk, before its first step. InputError where the set is of no tuning."""
    stored = results.plan
    document = dict(stored.get("document") or {})
    noted = results.manifest.get("tune")
    if not isinstance(noted, dict) or "tune" not in document:
        got, todo = "it is the set of no tuning", "name a directory that `pollbench tune` made"
        raise InputError("open a tuning", str(results.path), got, todo)
    before = [(key, json.dumps(value)) for key, value in (document.pop("set", None) or {}).items()]
    before += [(str(key), str(value)) for key, value in noted.get("overrides") or ()]
    content = results.experiment, tree_of(document, str(results.path / "plan.json"))
    experiment = load_experiment(results.path / "plan.json", [*before, *overrides], content=content)
    course, _ = _course_of(experiment, int(stored.get("seed", experiment.seed)), noted.get("lacking") or {})
    return replace(course, floors=tuple((int(steps), int(block)) for steps, block in noted.get("ended") or ()))


def _course_of(
    experiment: Experiment, seed: int | None, lacking: dict[str, str] | TunePlace
) -> tuple[Course, dict[str, str]]:
    """(course of a file's tuning, settings that its place cannot have, and why); lacking: as noted, or the place."""
    tuning = experiment.tuning
    if tuning is None:
        todo = "docs/tuning.md has an example"
        raise InputError("tune", got='the file has no section "tune"', todo=todo, where=experiment.path)
    if not isinstance(lacking, dict):
        cells = tuning.cells()
        reasons = {at: lacking.lacks(cells[at, 0].spec) for at in range(len(tuning.settings))}
        lacking = {tuning.settings[at].name: "; ".join(why) for at, why in reasons.items() if why}
    tuning = without(tuning, {at: lacking[one.name] for at, one in enumerate(tuning.settings) if one.name in lacking})
    if len(tuning.settings) < 2:
        raise InputError("tune", got="no setting is left beside today's", where=experiment.path)
    budget_ns = tuning.section.budget_ns
    budget_s = budget_ns / 1e9 if budget_ns else None
    return Course(experiment, tuning, experiment.seed if seed is None else seed, budget_s), lacking


def _check(course: Course, where: TunePlace) -> None:
    where.check(course.experiment, replace(course.plan(), cells=tuple(course.cells.values())))


def _carry_out(course: Course, results: ResultSet, where: TunePlace, place: Place[Any], *, as_json_text: bool) -> int:
    """Step by step: plan, make, look. A run of a step that does not count is made again once, whatever its figures."""
    try:
        while (runs := course.next()) is not None:
            plan = course.plan(due := where.due(course, runs))
            part = plan.of_runs(due)
            if part.missing(set(results.run_ids())):
                results.grow(plan)
                make(where, place, part, results)
            course.take({record.run_id: record for record in results.records()})
            say(words.progress(course))
    except Interrupted as error:
        _keep(results)
        say(f"pollbench: {error.line()}; go on with --resume {results.path}")
        return EXIT_INTERRUPTED
    except BaseException:
        with suppress(Exception):
            _keep(results)
        raise
    result = answer(course)
    _keep(results)
    results.write_file("tune.json", codec.to_json(as_json(course, result)))
    for name, text in words.files(course, result, results.path).items():
        results.write_file(name, text.encode())
    return _report(course, result, results, as_json_text=as_json_text)


def _keep(results: ResultSet) -> None:
    """The tables of what there is."""
    if results.run_ids():
        write_tables(results)


def _report(course: Course, result: Answer, results: ResultSet, *, as_json_text: bool, kept: bool = True) -> int:
    """kept: the set has the files of this answer."""
    path = results.path if kept else None
    print(json.dumps(as_json(course, result), indent=2) if as_json_text else words.text(course, result, path))
    sys.stdout.flush()
    say(f"results: {results.path}")
    return EXIT_OK if result.sure else EXIT_NOT_VALID


def _print_plan(course: Course, *, as_json_text: bool) -> int:
    runs, one_s = expected_runs(course.tuning), run_s(course.cells)
    if as_json_text:
        names = {one.name: one.choices for one in course.tuning.settings}
        document: dict[str, Any] = {"settings": names, "left_out": course.tuning.dropped, "runs": runs, "run_s": one_s}
        print(json.dumps(document, indent=2))
        return EXIT_OK
    print(words.plan(course, runs, one_s, in_words))
    return EXIT_OK


def _overrides(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    """What the command line sets: --set, and the keys of `tune` that have options of their own."""
    pairs = overrides_of(arguments.set)
    if arguments.goal:
        goal = {"least": arguments.goal, "most": None, "weights": None, "beside": None}
        pairs.append(("tune.goal", json.dumps(goal)))
    if arguments.pareto:
        if arguments.goal:
            raise InputError("--pareto", got="--goal asks for one best", todo="leave one of them out")
        first, second = arguments.pareto
        most = columns.metric(first).better == "higher"
        ends = {"least": None if most else first, "most": first if most else None}
        pairs.append(("tune.goal", json.dumps({**ends, "weights": None, "beside": second})))
    if arguments.subject:
        pairs.append(("tune.subject", json.dumps(arguments.subject)))
    pairs += [
        (f"tune.{name}", getattr(arguments, name)) for name in ("within", "error", "budget") if getattr(arguments, name)
    ]
    return pairs
