"""`pollbench fleet run`, `doctor` and `clean`: one experiment over the hosts of an inventory."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from contextlib import nullcontext
from functools import partial
from typing import Any

from harness.cli.carry_out import carry_out, newest_set, open_set, report, say_untraced
from harness.cli.plan import overrides_of
from harness.cli.progress import HostBoard
from harness.cli.terminal import owner_of_results
from harness.errors import EXIT_HOST_LACKS, EXIT_NOT_VALID, EXIT_OK, InputError
from harness.kernel.scratch import aside
from harness.places.fleet.crew import Crew, HostAnswer
from harness.places.fleet.execute import Fleet, FleetState
from harness.places.fleet.inventory import Hosts, hosts_in
from harness.places.fleet.service import version
from harness.places.fleet.share import Pair, pair_of
from harness.places.fleet.split import Split, allot, fleet_plan, slices_of
from harness.plan import Plan, make_plan
from harness.signals import stop_on_signals
from harness.spec.load import load_experiment

_REMEDY = "pollbench fleet clean"


def fleet(arguments: argparse.Namespace) -> int:
    """Run, check or clean a fleet; see `pollbench fleet --help`."""
    hosts = hosts_in(arguments.inventory, arguments.limit)
    return {"run": run, "doctor": doctor, "clean": clean}[arguments.action](arguments, hosts)


def run(arguments: argparse.Namespace, hosts: Hosts) -> int:
    """Execute an experiment file on the hosts."""
    refuse_sudo()
    experiment = load_experiment(arguments.file, overrides_of(arguments.set), arguments.quick)
    say_untraced(experiment)
    plan = make_plan(experiment, arguments.case, arguments.repeat, arguments.seed)
    pair = pair_of(plan, hosts, arguments.file)
    if pair is not None:
        if arguments.split:
            got = "both hosts make every run together"
            raise InputError("split", got=got, todo="leave it out", where="--split")
        hosts = {name: hosts[name] for name in pair.hosts}
    begun = FleetState.of(newest_set(arguments.output, plan.name)) if arguments.resume else None
    split: Split = arguments.split or (begun.split if begun else "blocks")
    # With split none the hosts are part of the plan: those it was begun with.
    plan = fleet_plan(plan, split, begun.hosts if begun else list(hosts))
    if arguments.engine == "dask":
        _refuse_slices(pair, split)
        if arguments.dry_run:
            for name, runs in slices_of(plan, split, allot(plan, split, list(hosts)), len(hosts)).items():
                print(f"{name}: {len(runs)} runs")
            return EXIT_OK
    if arguments.dry_run:
        return _print_shares(plan, split, [pair.label] if pair else list(hosts))
    how = (arguments.prepare or "", arguments.forks, arguments.interval, arguments.redo, arguments.budget)
    sliced = partial(hosts_in, arguments.inventory, arguments.limit) if arguments.engine == "dask" else None
    with stop_on_signals(_REMEDY) as stopper:
        place = Fleet(arguments.inventory, hosts, split, stopper, pair, *how, sliced)
        results = open_set(place, plan, experiment.data, arguments)
        interrupted = carry_out(place, plan, results, nullcontext(HostBoard(list(hosts))))
        return report(plan, results, interrupted, as_json=arguments.json)


def _refuse_slices(pair: Pair | None, split: Split) -> None:
    """InputError for what is not to be cut into slices that any host may make; MissingError where there is no dask."""
    if pair is not None:
        raise InputError(
            "cut into slices", got="two hosts make every run together", todo="leave it out", where="--engine"
        )
    if split == "none":
        got, todo = "with --split none each host makes all of it", "leave one out"
        raise InputError("cut into slices", got=got, todo=todo, where="--engine")
    version()


def refuse_sudo() -> None:
    """Raise InputError where root would write into a directory of somebody else's.

    What Ansible, its plugins and rsync write beside the runs they write by its name, which that person could lead
    elsewhere meanwhile.
    """
    owner = owner_of_results()
    if os.geteuid() == 0 and owner is not None and owner[0] != 0:
        todo = "type it without sudo, which it does not need: hosts are given root by `become` in the inventory"
        raise InputError("run on the fleet", got="it is not run by sudo", todo=todo)


def clean(arguments: argparse.Namespace, hosts: Hosts) -> int:
    """Stop and remove what fleet runs left on the hosts; exit code 1 when a host failed."""
    with aside() as scratch, stop_on_signals(_REMEDY) as stopper:
        board, stopping = HostBoard(list(hosts)), lambda: stopper.requested
        crew = Crew(arguments.inventory, hosts, scratch, "", board, stopping, arguments.forks)
        freed = crew.clean()
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


def doctor(arguments: argparse.Namespace, hosts: Hosts) -> int:
    """Ask every host's own `pollbench doctor`; exit 3 when any host cannot measure, or lacks what the file needs."""
    document = None
    if arguments.file:
        experiment = load_experiment(arguments.file)
        document = experiment.document
        pair = pair_of(make_plan(experiment, repeat=1), hosts, arguments.file)
        if pair is not None:
            hosts = {name: hosts[name] for name in pair.hosts}
    with aside() as scratch:
        board, forks = HostBoard(list(hosts)), arguments.forks
        # Of two that ask at once neither removes the other's files there.
        ident = f"doctor-{secrets.token_hex(4)}"
        crew = Crew(arguments.inventory, hosts, scratch, ident, board, lambda: False, forks)
        answers = crew.doctor(document)
    rows = [_row(name, answers.get(name, {})) for name in hosts]
    if arguments.json:
        print(json.dumps(rows, indent=2))
    else:
        _print_rows(rows)
    sys.stdout.flush()
    return EXIT_OK if all(row["ready"] for row in rows) else EXIT_HOST_LACKS


def _row(name: str, answer: HostAnswer) -> dict[str, Any]:
    """What --json says of a host. worse: what makes figures worse there; lacks: why it, or a cell, cannot measure."""
    facts, findings = answer.get("facts") or {}, answer.get("doctor") or {"advice": [], "skips": {}}
    labels: dict[str, list[str]] = {}
    for label, reasons in findings["skips"].items():
        labels.setdefault("; ".join(reasons), []).append(label)
    lacks = [f"{', '.join(cells)}: {reason}" for reason, cells in labels.items()]
    if answer.get("error"):
        lacks = [answer["error"]]
    return {
        "host": name,
        "ready": bool(facts) and not lacks,
        "pollbench": facts.get("version", ""),
        "kernel": facts.get("kernel", ""),
        "cpus": facts.get("cpus"),
        "free_bytes": facts.get("free_bytes"),
        "worse": [f"{item['check']}: {item['state']}" for item in findings["advice"] if not item["good"]],
        "lacks": lacks,
    }


def _print_rows(rows: list[dict[str, Any]]) -> None:
    heads = ("host", "ready", "pollbench", "kernel", "CPUs", "free MB", "noise", "lacks")
    table = [heads] + [
        (
            row["host"],
            "yes" if row["ready"] else "no",
            row["pollbench"] or "-",
            row["kernel"] or "-",
            str(row["cpus"] or "-"),
            "-" if row["free_bytes"] is None else f"{row['free_bytes'] / 1e6:.0f}",
            str(len(row["worse"])),
            (row["lacks"] or ["-"])[0] + (f" (and {len(row['lacks']) - 1} more)" if len(row["lacks"]) > 1 else ""),
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    if any(row["worse"] for row in rows):
        print("noise: how many checks find what makes figures worse; pollbench doctor on the host explains each,")
        print("and pollbench fleet run --prepare sets what can be set while it measures")
