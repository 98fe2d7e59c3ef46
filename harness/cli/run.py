"""`pollbench run`: plan, lock, execute, save, and the table at the end."""

from __future__ import annotations

import argparse

from harness.cli.carry_out import carry_out, open_set, report
from harness.cli.plan import plan_of, print_plan
from harness.cli.progress import Progress
from harness.cli.terminal import need_root, say
from harness.places.local import this_host
from harness.plan import Plan
from harness.run.limits import refuse_beyond
from harness.signals import stop_on_signals
from harness.testbed import refuse_here


def run(arguments: argparse.Namespace) -> int:
    """Execute an experiment file; see `pollbench run --help`."""
    experiment, plan = plan_of(arguments)
    if arguments.dry_run:
        return print_plan(experiment, plan, as_json=arguments.json)
    refuse_inventory_hosts(plan)
    refuse_beyond(experiment, plan)
    need_root("run an experiment")
    # The handlers stay until the table is out: a second Ctrl-C must not take it away.
    with stop_on_signals() as stopper:
        with this_host(stopper, say, wait=arguments.wait, redo=arguments.redo) as place:
            results = open_set(place, plan, experiment.data, arguments)
            interrupted = carry_out(place, plan, results, Progress())
        return report(plan, results, interrupted, as_json=arguments.json)


def refuse_inventory_hosts(plan: Plan) -> None:
    """InputError for a plan whose nodes are on hosts of an inventory."""
    for cell in plan.cells:
        refuse_here(cell.spec.topology)
