"""Carries a plan out in a place, the same for this host, guests and fleets: the result set, the runs, the exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from harness.cli.plan import overrides_of
from harness.cli.terminal import mute_stdout, owner_of_results, say
from harness.errors import (
    EXIT_HOST_LACKS,
    EXIT_INTERRUPTED,
    EXIT_NOT_VALID,
    EXIT_OK,
    InputError,
    Interrupted,
    PollbenchError,
)
from harness.places.place import Place
from harness.plan import Experiment, Plan, grows
from harness.stats import stopping_rule
from harness.store import ResultSet

WatcherT = TypeVar("WatcherT")


def stamp_now() -> str:
    """The name of a set that begins now."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def say_untraced(experiment: Experiment) -> None:
    """Say that what the file wants traced is not, in guests and over fleets."""
    if experiment.trace:
        say("pollbench: `trace: tail` is left out: only `pollbench run` traces, on its own host")


def new_set(place: Place[WatcherT], plan: Plan, experiment: bytes, output: str, **manifest: Any) -> ResultSet:
    """A set that begins now, with the place's manifest, how it was begun, and what else is given."""
    begun = {"seed": plan.seed, "command": ["pollbench", *sys.argv[1:]]}
    document = place.manifest() | begun | manifest
    return ResultSet.create(output, plan.name, stamp_now(), experiment, plan, document, owner_of_results())


def newest_set(output: str, name: str) -> ResultSet:
    """The set that --resume means. Raises InputError when there is none."""
    results = ResultSet.latest(output, name, owner_of_results())
    if results is None:
        todo = "leave --resume out to begin one"
        raise InputError("resume", str(Path(output) / name), "there is no result set", todo)
    return results


def open_set(
    place: Place[WatcherT], plan: Plan, experiment: bytes, arguments: argparse.Namespace, *, resume: bool | None = None
) -> ResultSet:
    """A new set where --output says; with --resume the newest one of this experiment, if its plan is the same or grew.

    resume: in place of the option. Raises InputError for a set of another plan or place.
    """
    output: str = arguments.output
    if os.path.exists(output) and not os.path.isdir(output):
        raise InputError("keep results", output, "it is no directory", "name one with -o", "-o")
    if not (arguments.resume if resume is None else resume):
        overrides = dict(overrides_of(arguments.set))
        return new_set(place, plan, experiment, output, overrides=overrides)
    results = newest_set(output, plan.name)
    place.accept(results)
    if not results.same_plan(plan) and grows(results.plan, plan, results.finished()):
        results.grow(plan)
    if not results.same_plan(plan):
        options = "--set/--case/--repeat/--seed" + ("/--split" if "fleet" in results.manifest else "")
        got = f"it was made from another plan (the file, or {options}, differ)"
        raise InputError("resume", str(results.path), got, "leave --resume out to begin a new set")
    results.remove_leftovers()
    return results


def carry_out(
    place: Place[WatcherT], plan: Plan, results: ResultSet, watcher: AbstractContextManager[WatcherT]
) -> Interrupted | None:
    """Make what is missing of a plan; what interrupted it, if anything did. The tables are written either way."""
    interrupted = None
    try:
        with watcher as shown:
            place.execute(plan, results, shown)
    except Interrupted as error:
        interrupted = error
    except PollbenchError:
        with suppress(PollbenchError):
            write_tables(results)
        raise
    write_tables(results)
    if plan.adaptive is not None and interrupted is None:
        say(f"pollbench: {_stopped(plan.adaptive, results)}")
    return interrupted


def write_tables(*sets: ResultSet) -> None:
    """The CSV tables of sets. Imported here, since pandas takes a second that a refusal need not wait for."""
    from harness import tables

    for results in sets:
        tables.write_tables(results)


def _stopped(rule: stopping_rule.Adaptive, results: ResultSet) -> str:
    """After how many repetitions a plan that adapts ended, and why."""
    records = results.records()
    blocks = max((record.block for record in records), default=0)
    reason = stopping_rule.state(rule, records, blocks).reason
    return f"{blocks} of {rule.least} to {rule.most} repetitions: {reason}"


def report(
    plan: Plan,
    results: ResultSet,
    interrupted: Interrupted | None,
    *,
    as_json: bool,
    todo: str = "with --resume they are made",
) -> int:
    """Print the table and where it is; choose the exit code by the worst verdict. todo: how missing runs are made."""
    from harness.cli.show import print_set

    made = {record.run_id: record.verdict for record in results.records()}
    # A plan that adapts may end before its last repetition.
    missing = [] if plan.adaptive else plan.missing(made)
    verdicts = Counter(made[run.run_id] for run in plan.runs if run.run_id in made)
    if made:
        try:
            print_set(results.path, "json" if as_json else "text")
            sys.stdout.flush()
        except BrokenPipeError:  # the exit code still tells how it went
            mute_stdout()
    say(f"results: {results.path}")
    if interrupted is not None:
        left = "go on with --resume" if missing or plan.adaptive else "no run is missing"
        say(f"pollbench: {interrupted.line()}; {left}")
        return EXIT_INTERRUPTED
    if missing:
        say(f"pollbench: {len(missing)} of {len(plan.runs)} runs are missing; {todo}")
    if missing or set(verdicts) & {"failed", "inert", "suspect"}:
        return EXIT_NOT_VALID
    return EXIT_HOST_LACKS if verdicts["skipped"] else EXIT_OK
