"""Carries a plan out in a place, the same for this host, guests and fleets: the result set, the runs, the exit code."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from harness.cli.building import build_programs
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
from harness.kernel.software import commit_at
from harness.places.place import NOT_AGAIN, Place
from harness.places.redo import waited_s
from harness.places.traced import TracingPlace, trace_cells
from harness.plan import Experiment, Plan, grows
from harness.stats import stopping_rule
from harness.store import ResultSet, RunRecord

WatcherT = TypeVar("WatcherT")
_WORTH_SAYING_S = 0.5

_NUMBER = re.compile(r"\d+(\.\d+)?")


def stamp_now() -> str:
    """The name of a set that begins now."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def say_untraced(experiment: Experiment) -> None:
    """Say that what the file wants traced is not, over fleets."""
    if experiment.trace:
        say("pollbench: `trace` is left out: only `pollbench run` and `pollbench vm run` trace")


def trace(
    place: TracingPlace[WatcherT], plan: Plan, results: ResultSet, watcher: AbstractContextManager[WatcherT]
) -> Interrupted | None:
    """Trace one more run of every cell; what interrupted it, if anything did."""
    say("pollbench: one more repetition of every cell, traced; it counts in no table")
    try:
        with watcher as shown:
            trace_cells(place, plan, results, stamp_now(), shown)
    except Interrupted as error:
        return error
    return None


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
    # The gallery has no such option.
    if getattr(arguments, "redo", ()) and not arguments.resume:
        got = "it makes runs of an earlier set again, and without --resume a new set would begin"
        raise InputError("--redo", got=got, todo="add --resume, or leave --redo out")
    build_programs(plan)
    if not (arguments.resume if resume is None else resume):
        overrides = dict(overrides_of(arguments.set))
        # The gallery's files are none of the user's project.
        commit = commit_at(Path(arguments.file)) if hasattr(arguments, "file") else None
        return new_set(place, plan, experiment, output, overrides=overrides, commit=commit)
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
    if again := spoilt(results.records()):
        say(f"pollbench: {again}")
    if plan.adaptive is not None and interrupted is None:
        say(f"pollbench: {_stopped(plan.adaptive, results)}")
    return interrupted


def write_tables(*sets: ResultSet) -> None:
    """The CSV tables of sets. Imported here, since pandas takes a second that a refusal need not wait for."""
    from harness import tables

    for results in sets:
        tables.write_tables(results)


def spoilt(records: Iterable[RunRecord]) -> str:
    """What noise cost a set, and why some of its runs are in doubt all the same, in words; "" where there was none."""
    again, again_s, waits_s, left = 0, 0.0, 0.0, Counter[str]()
    for record in records:
        again, again_s, waits_s = again + record.attempt - 1, again_s + record.again_s, waits_s + waited_s(record)
        left.update(reason for reason in record.reasons if reason.startswith(NOT_AGAIN))
    texts = [f"{again} made again for noise, in {again_s:.0f} s"] if again else []
    texts += [f"{waits_s:.1f} s waited for quiet moments"] if waits_s >= _WORTH_SAYING_S else []
    if left:
        ((worst, _),) = left.most_common(1)
        texts.append(f"{left.total()} stay in doubt ({worst})")
    return f"runs: {'; '.join(texts)}" if texts else ""


def _stopped(rule: stopping_rule.Adaptive, results: ResultSet) -> str:
    """After how many repetitions a plan that adapts ended, and why."""
    records = results.records()
    blocks = max((record.block for record in records), default=0)
    reason = stopping_rule.state(rule, records, blocks).reason
    return f"{blocks} of {rule.least} to {rule.most} repetitions: {reason}"


_MOST_REASONS, _MOST_LETTERS = 3, 200


def not_counted(records: Sequence[RunRecord], todo: str = "") -> list[str]:
    """What was not counted, why, and what to do next (todo, else what to type): nothing where every run counts."""
    lines, again, redone = [], 0, []
    for verdict in ("suspect", "failed", "inert"):
        mine = [record for record in records if record.verdict == verdict]
        reasons: dict[str, list[str]] = {}
        for record in mine:
            # Reasons that differ only in numbers are one.
            reasons.setdefault(_NUMBER.sub("#", "".join(record.reasons[:1])), []).extend(record.reasons[:1])
        often = sorted((texts for texts in reasons.values() if texts), key=len, reverse=True)
        texts = [_short(texts[0]) + (f" ({len(texts)}x)" if len(texts) > 1 else "") for texts in often[:_MOST_REASONS]]
        if (more := len(often) - _MOST_REASONS) > 0:
            texts.append(f"{more} more reason{'' if more == 1 else 's'}, in runs.csv")
        if mine:
            plural = "" if len(mine) == 1 else "s"
            lines.append(f"not counted, {len(mine)} {verdict} run{plural}: {'; '.join(texts) or 'no reason recorded'}")
        if mine and verdict != "inert":
            redone.append(verdict)
            again += len(mine)
    if again:
        lines.append(f"to make {'it' if again == 1 else 'them'} again: {todo or _again(redone)}")
    return lines


def _short(reason: str) -> str:
    """So much of a reason as tells it; all of it is in the table."""
    return reason if len(reason) <= _MOST_LETTERS else f"{reason[:_MOST_LETTERS]} ..."


def _again(verdicts: Sequence[str]) -> str:
    """The command that was typed, so that it makes the runs of these verdicts again."""
    kept, words = [], iter(sys.argv[1:])
    for word in words:
        if word == "--redo":
            next(words, None)
        elif word != "--resume" and not word.startswith("--redo="):
            kept.append(word)
    root = ["sudo"] if os.environ.get("SUDO_UID") else []
    return shlex.join([*root, "pollbench", *kept, "--resume", "--redo", ",".join(verdicts)])


def report(
    plan: Plan,
    results: ResultSet,
    interrupted: Interrupted | None,
    *,
    as_json: bool,
    todo: str = "with --resume they are made",
    redo: str = "",
) -> int:
    """Print the table and where it is; choose the exit code by the worst verdict.

    todo: how missing runs are made; redo: how those in doubt are made again, by default by what was typed.
    """
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
    for line in not_counted(results.records(), redo):
        say(f"pollbench: {line}")
    if missing or set(verdicts) & {"failed", "inert", "suspect"}:
        return EXIT_NOT_VALID
    return EXIT_HOST_LACKS if verdicts["skipped"] else EXIT_OK
