"""`pollbench run`: plan, lock, execute, save, and the table at the end; of all of a plan, or of a share of it."""

from __future__ import annotations

import argparse
import os
import platform
from dataclasses import replace
from pathlib import Path

from harness.cli.carry_out import carry_out, open_set, report, trace
from harness.cli.ci import write_set
from harness.cli.explain import explain_set
from harness.cli.plan import plan_of, print_plan, refuse_inventory_hosts
from harness.cli.progress import Progress
from harness.cli.terminal import need_root, owner_of_results, say
from harness.errors import EXIT_OK, InputError
from harness.places.fleet.split import begun_elsewhere, share_of
from harness.places.local import this_host
from harness.plan import Experiment, Plan
from harness.run.limits import refuse_beyond
from harness.signals import stop_on_signals
from harness.store import ResultSet


def run(arguments: argparse.Namespace) -> int:
    """Execute an experiment file; see `pollbench run --help`."""
    experiment, plan = plan_of(arguments)
    if arguments.dry_run:
        part = share_of(plan, *arguments.share) if arguments.share else plan
        return print_plan(experiment, part, as_json=arguments.json)
    refuse_inventory_hosts(plan)
    refuse_beyond(experiment, plan)
    if arguments.share:
        if arguments.explain:
            raise InputError(
                "trace a share", got="it has not all of a cell's runs", todo="leave one out", where="--explain"
            )
        return _run_share(arguments, experiment, plan)
    need_root("run an experiment")
    # The handlers stay until the table is out: a hurried second Ctrl-C must not take it away.
    with stop_on_signals() as stopper:
        with this_host(stopper, say, wait=arguments.wait, redo=arguments.redo) as place:
            place = replace(place, budget_s=arguments.budget)
            results = open_set(place, plan, experiment.data, arguments)
            interrupted = carry_out(place, plan, results, Progress(plan=plan, made=results.records()))
            traced = interrupted is None and (arguments.explain or experiment.trace is not None)
            if traced:
                interrupted = trace(place, plan, results, Progress())
        code = report(plan, results, interrupted, as_json=arguments.json)
        write_set(arguments, results)
        if traced and interrupted is None:
            explain_set(results, quiet=arguments.json)
        return code


def _run_share(arguments: argparse.Namespace, experiment: Experiment, plan: Plan) -> int:
    """Make one share, in a set of the whole plan below a directory of its own.

    With --resume a share that was not begun is begun, since schedulers type the same line again. What another host
    has begun of a block is made anew here: no block is of two hosts.
    """
    number, of = arguments.share
    part = share_of(plan, number, of)
    if not part.runs:
        say(f"pollbench: nothing to do: the plan has fewer blocks than {of} shares")
        return EXIT_OK
    if experiment.trace:
        say("pollbench: `trace` is left out: a share has not all of a cell's runs")
    need_root("run an experiment")
    arguments.output = str(Path(arguments.output) / f"share-{number}-of-{of}")
    begun = ResultSet.latest(arguments.output, plan.name, owner_of_results()) is not None
    with stop_on_signals() as stopper:
        with this_host(stopper, say, wait=arguments.wait, redo=arguments.redo) as place:
            here = os.environ.get("POLLBENCH_HOST") or platform.node()
            results = open_set(place, plan, experiment.data, arguments, resume=arguments.resume and begun)
            results.note(share={"number": number, "of": of})
            records = [record for record in results.records() if record.verdict not in arguments.redo]
            made = {record.run_id: str(record.environment.get("host") or "") for record in records}
            again = begun_elsewhere(part, made, here)
            environment = {**place.environment, "host": here}
            place = replace(place, environment=environment, again=again, budget_s=arguments.budget)
            interrupted = carry_out(place, part, results, Progress(plan=part, made=results.records()))
        code = report(part, results, interrupted, as_json=arguments.json)
        write_set(arguments, results)
        return code
