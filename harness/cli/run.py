"""`pollbench run`: plan, lock, execute, save, and the table at the end."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.cli.owner import owner_of_results
from harness.cli.plan import overrides_of, plan_of, print_plan
from harness.cli.progress import Progress
from harness.cli.say import mute_stdout, say
from harness.errors import (
    EXIT_HOST_LACKS,
    EXIT_INTERRUPTED,
    EXIT_NOT_VALID,
    EXIT_OK,
    InputError,
    Interrupted,
    MissingError,
)
from harness.kernel import facts, journal
from harness.plan import Plan, grows
from harness.run.runner import execute
from harness.signals import Stopper, stop_on_signals
from harness.spec.load import Experiment
from harness.stats import stopping_rule
from harness.store import ResultSet
from harness.testbed import refuse_here

_LOOK_S = 0.2


def run(arguments: argparse.Namespace) -> int:
    """Execute an experiment file; see `pollbench run --help`."""
    experiment, plan = plan_of(arguments)
    if arguments.dry_run:
        return print_plan(experiment, plan, as_json=arguments.json)
    on_this_host(plan)
    need_root("run an experiment")
    # The handlers stay until the table is out: a second Ctrl-C must not take it away.
    with stop_on_signals() as stopper:
        results, interrupted = carry_out(arguments, experiment, plan, stopper)
        return report(arguments, plan, results, interrupted)


def on_this_host(plan: Plan) -> None:
    """InputError for a plan whose nodes are on hosts of an inventory."""
    for cell in plan.cells:
        refuse_here(cell.spec.topology)


def carry_out(
    arguments: argparse.Namespace, experiment: Experiment, plan: Plan, stopper: Stopper
) -> tuple[ResultSet, Interrupted | None]:
    """Make what is missing of a plan, alone on this host; the set, and what interrupted it."""
    with journal.host_lock(waiting(stopper) if arguments.wait else None):
        clear_leftovers()
        manifest = facts.manifest() | {
            "seed": plan.seed,
            "command": ["pollbench", *sys.argv[1:]],
            "overrides": dict(overrides_of(arguments.set)),
        }
        results = new_or_resumed(arguments, experiment, plan, manifest)
        return results, _execute(plan, results, stopper, set(arguments.redo))


def waiting(stopper: Stopper) -> Callable[[str], None]:
    """Waits a little for the host lock, having said once whose turn it is."""
    told: set[str] = set()

    def wait(holder: str) -> None:
        if holder not in told:
            say(f"pollbench: waiting for this host: {holder}")
            told.add(holder)
        stopper.pause(_LOOK_S)

    return wait


def need_root(what: str) -> None:
    """Raise MissingError, saying what to type, when we are not root."""
    if os.geteuid() != 0:
        program = os.path.abspath(sys.argv[0])
        start = [sys.executable, "-m", "harness"] if program.endswith("__main__.py") else [program]
        command = shlex.join([*start, *sys.argv[1:]])
        raise MissingError(what, got="it needs root", todo=f"type: sudo {command}")


def clear_leftovers() -> None:
    """What a killed run left (a host-wide busy_read, say) would falsify this one, so it is put back first."""
    done = journal.clean()
    if done:
        say(f"pollbench: put back {len(done)} thing(s) that a killed run had left")


def new_or_resumed(
    arguments: argparse.Namespace, experiment: Experiment, plan: Plan, manifest: dict[str, Any]
) -> ResultSet:
    """A new set with this manifest; with --resume the newest of this experiment, if its plan is the same or grew."""
    owner = owner_of_results()
    if os.path.exists(arguments.output) and not os.path.isdir(arguments.output):
        raise InputError("keep results", arguments.output, "it is no directory", "name one with -o", "-o")
    if not arguments.resume:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        return ResultSet.create(arguments.output, plan.name, stamp, experiment.data, plan, manifest, owner)
    found = ResultSet.latest(arguments.output, plan.name, owner)
    if found is None:
        where = Path(arguments.output) / plan.name
        raise InputError("resume", str(where), "there is no result set", "leave --resume out to begin one")
    if not found.same_plan(plan) and grows(found.plan, plan, found.finished()):
        found.grow(plan)
    if not found.same_plan(plan):
        raise InputError(
            "resume",
            str(found.path),
            "it was made from another plan (the file, or --set/--case/--repeat/--seed, differ)",
            "leave --resume out to begin a new set",
        )
    found.remove_leftovers()
    return found


def _execute(plan: Plan, results: ResultSet, stopper: Stopper, redo: set[str]) -> Interrupted | None:
    """Run what is missing; on a stop request keep what there is. The tables are written either way."""
    from harness.tables import write_tables

    interrupted = None
    try:
        with Progress() as progress:
            execute(plan, results, facts.environment(), stopper, progress, redo)
    except Interrupted as error:
        interrupted = error
    write_tables(results)
    if plan.adaptive is not None and interrupted is None:
        say(f"pollbench: {_stopped(plan, results)}")
    return interrupted


def _stopped(plan: Plan, results: ResultSet) -> str:
    """After how many repetitions a plan that adapts ended, and why."""
    assert plan.adaptive is not None
    records = results.records()
    blocks = max((record.block for record in records), default=0)
    reason = stopping_rule.state(plan.adaptive, records, blocks).reason
    return f"{blocks} of {plan.adaptive.least} to {plan.adaptive.most} repetitions: {reason}"


def report(
    arguments: argparse.Namespace, plan: Plan, results: ResultSet, interrupted: Interrupted | None
) -> int:
    """Print the table and where it is; choose the exit code by the worst verdict."""
    from harness.cli.show import print_overview

    found = {record.run_id: record.verdict for record in results.records()}
    # A plan that adapts may end before its last repetition.
    due = [run for run in plan.runs if plan.adaptive is None or run.run_id in found]
    verdicts = Counter(found.get(run.run_id, "missing") for run in due)
    if found:
        try:
            print_overview(results.path, "json" if arguments.json else "text")
            sys.stdout.flush()
        except BrokenPipeError:  # the exit code still tells how it went
            mute_stdout()
    say(f"results: {results.path}")
    if interrupted is not None:
        say(f"pollbench: {interrupted.line()}; go on with --resume")
        return EXIT_INTERRUPTED
    if verdicts["missing"]:
        say(f"pollbench: {verdicts['missing']} runs of the plan are not in the result set any more")
    if set(verdicts) & {"failed", "inert", "suspect", "missing"}:
        return EXIT_NOT_VALID
    return EXIT_HOST_LACKS if verdicts["skipped"] else EXIT_OK
