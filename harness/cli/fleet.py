"""`pollbench fleet run`, `doctor` and `clean`: one experiment over the hosts of an inventory."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from harness.cli.carry_out import carry_out, newest_set, open_set, report
from harness.cli.fleet_progress import HostBoard
from harness.cli.plan import overrides_of
from harness.errors import EXIT_NOT_VALID, EXIT_OK, InputError
from harness.places.fleet.crew import Crew
from harness.places.fleet.execute import Fleet, FleetState
from harness.places.fleet.inventory import Hosts, hosts_in
from harness.places.fleet.pair import pair_of
from harness.places.fleet.split import Split, allot, fleet_plan
from harness.plan import Plan, make_plan
from harness.signals import stop_on_signals
from harness.spec.load import load_experiment


def fleet(arguments: argparse.Namespace) -> int:
    """Run, check or clean a fleet; see `pollbench fleet --help`."""
    hosts = hosts_in(arguments.inventory, arguments.limit)
    if arguments.action == "run":
        return run(arguments, hosts)
    if arguments.action == "doctor":
        from harness.cli.fleet_doctor import doctor

        return doctor(arguments, hosts)
    return clean(arguments, hosts)


def run(arguments: argparse.Namespace, hosts: Hosts) -> int:
    """Execute an experiment file on the hosts."""
    experiment = load_experiment(arguments.file, overrides_of(arguments.set), arguments.quick)
    plan = make_plan(experiment, arguments.case, arguments.repeat, arguments.seed)
    pair = pair_of(plan, hosts, arguments.file)
    if pair is not None:
        if arguments.split:
            got = "both hosts make every run together"
            raise InputError("split", got=got, todo="leave it out", where="--split")
        hosts = {name: hosts[name] for name in pair.hosts}
    begun = FleetState.of(newest_set(arguments.output, plan.name)) if arguments.resume else None
    split: Split = arguments.split or (begun.split if begun else "repetitions")
    # With split none the hosts are part of the plan: those it was begun with.
    plan = fleet_plan(plan, split, begun.hosts if begun else list(hosts))
    if arguments.dry_run:
        return _print_shares(plan, split, [pair.label] if pair else list(hosts))
    with stop_on_signals() as stopper:
        place = Fleet(
            arguments.inventory,
            hosts,
            split,
            stopper,
            pair,
            arguments.prepare or "",
            arguments.forks,
            arguments.interval,
        )
        results = open_set(place, plan, experiment.data, arguments)
        interrupted = carry_out(place, plan, results, HostBoard(list(hosts)))
        return report(plan, results, interrupted, as_json=arguments.json)


def clean(arguments: argparse.Namespace, hosts: Hosts) -> int:
    """Stop and remove what fleet runs left on the hosts; exit code 1 when a host failed."""
    with tempfile.TemporaryDirectory(prefix="pollbench-fleet-") as scratch, stop_on_signals() as stopper:
        directory, stopping = Path(scratch), lambda: stopper.requested
        with HostBoard(list(hosts)) as board:
            crew = Crew(arguments.inventory, hosts, directory, "", board, stopping, arguments.forks)
            freed = crew.clean(list(hosts))
    good = len(freed) == len(hosts)
    for name in (name for name in hosts if name in freed):
        size, acts = freed[name]
        good = good and all(act["action"] != "failed" for act in acts)
        for act in acts:
            reason = f" ({act['reason']})" if act["reason"] else ""
            print(f"{name}: {act['action']} {act['kind']} {act['subject']}{reason}")
        if size or not acts:
            print(f"{name}: {size / 1e6:.1f} MB removed" if size else f"{name}: nothing to clean")
    return EXIT_OK if good else EXIT_NOT_VALID


def _print_shares(plan: Plan, split: Split, hosts: list[str]) -> int:
    """What --dry-run prints: how much each host would have to make."""
    lot = allot(plan, split, hosts)
    for name in hosts:
        runs = lot.runs_of(name, plan)
        blocks = sorted({run.block for run in runs})
        cells = len({run.cell.cell_id for run in runs})
        print(f"{name}: {len(runs)} runs: {cells} cells, repetitions {', '.join(map(str, blocks)) or 'none'}")
    return EXIT_OK
