"""`pollbench fleet run`, `doctor` and `clean`: one experiment over the hosts of an inventory."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.cli.fleet_progress import HostBoard
from harness.cli.owner import owner_of_results
from harness.cli.plan import overrides_of
from harness.cli.say import say
from harness.errors import (
    EXIT_HOST_LACKS,
    EXIT_INTERRUPTED,
    EXIT_NOT_VALID,
    EXIT_OK,
    InputError,
    Interrupted,
    MissingError,
    PollbenchError,
)
from harness.host import role_variables, wish_of
from harness.places.fleet import split as splitting
from harness.places.fleet import wheel
from harness.places.fleet.conduct import STATE_FILE, Fleet
from harness.places.fleet.inventory import Hosts, hosts_in
from harness.places.fleet.pair import Pair, pair_of
from harness.plan import Plan, make_plan
from harness.signals import Stopper, stop_on_signals
from harness.spec.load import load_experiment
from harness.store import ResultSet, atomic


def fleet(arguments: argparse.Namespace) -> int:
    """Run, check or clean a fleet; see `pollbench fleet --help`."""
    hosts = hosts_in(arguments.inventory, arguments.limit)
    if arguments.action == "run":
        return _run(arguments, hosts)
    if arguments.action == "doctor":
        from harness.cli.fleet_doctor import doctor

        return doctor(arguments, hosts)
    return _clean(arguments, hosts)


def _run(arguments: argparse.Namespace, hosts: Hosts) -> int:
    experiment = load_experiment(arguments.file, overrides_of(arguments.set))
    plan = make_plan(experiment, cases=arguments.case, repeat=arguments.repeat, seed=arguments.seed)
    pair = pair_of(plan, hosts, arguments.file)
    if pair is not None:
        if arguments.split:
            got = "both hosts make every run together"
            raise InputError("split", got=got, todo="leave it out", where="--split")
        hosts = {name: hosts[name] for name in pair.hosts}
    found = _to_resume(arguments, plan.name) if arguments.resume else None
    state = _state(found) if found else {}
    split: splitting.Split = arguments.split or state.get("split") or "repetitions"
    # With split none the hosts are part of the plan: those it was begun with.
    whole = splitting.fleet_plan(plan, split, state.get("hosts") or list(hosts))
    if arguments.dry_run:
        return _print_shares(whole, split, [pair.label] if pair else list(hosts))
    if found is not None and not found.same_plan(whole):
        raise InputError(
            "resume",
            str(found.path),
            "it was made from another plan (the file, or --split/--case/--set/--repeat/--seed, differ)",
            "leave --resume out to begin a new set",
        )
    results = found or _new_set(arguments, experiment.data, whole, split, hosts)
    results.remove_leftovers()
    with stop_on_signals() as stopper:
        return _conduct(arguments, hosts, whole, split, results, stopper, pair)


def _conduct(
    arguments: argparse.Namespace,
    hosts: Hosts,
    plan: Plan,
    split: splitting.Split,
    results: ResultSet,
    stopper: Stopper,
    pair: Pair | None,
) -> int:
    board = HostBoard(list(hosts))
    directory = results.path / "fleet"
    directory.mkdir(exist_ok=True)
    state = _state(results)
    crew = Fleet(
        arguments.inventory,
        hosts,
        directory.resolve(),
        str(state["ident"]),
        board,
        lambda: _asked(stopper),
        arguments.forks,
        arguments.interval,
        pair,
    )
    interrupted = False
    try:
        _attempt(arguments, crew, plan, split, results, state)
    except Interrupted:
        interrupted = True
    except PollbenchError:
        if not state["attempts"]:
            # Nobody has measured anything: a set without a run helps nobody, least of all --resume.
            atomic.discard_tree(results.path)
        raise
    finally:
        board.close()
    return _report(arguments, plan, results, interrupted)


def _attempt(
    arguments: argparse.Namespace,
    crew: Fleet,
    plan: Plan,
    split: splitting.Split,
    results: ResultSet,
    state: dict[str, Any],
) -> None:
    """See who is there and what they have, share out what is missing, and let them make it."""
    known = {run.run_id for run in plan.runs}
    before = results if state["attempts"] else None
    ready = crew.ready(list(crew.hosts), before, known)
    if crew.pair and len(ready) < 2:
        away = ", ".join(name for name in crew.pair.hosts if name not in ready)
        raise MissingError("run on two hosts", away, "it is not ready", "see the lines above")
    if not ready:
        raise MissingError(
            "run on the fleet", ", ".join(crew.hosts), "no host is ready", "see the lines above"
        )
    made = splitting.hosts_of(results.records())
    if crew.pair is None:
        lot = splitting.allot(plan, split, ready, made, state["allotted"])
        able = [name for name in ready if name in set(lot.host.values())]
    else:
        lot = splitting.allot(plan, split, [crew.pair.label], made)
        able = list(crew.pair.hosts) if lot.host else []
    for name in ready:
        if name not in able:
            crew.board.done(name, "nothing to do: no further share to give")
    if not able:
        return
    state["attempts"] += 1
    state["allotted"] = {**state["allotted"], **lot.host}
    state["facts"] = {**state["facts"], **crew.facts}
    _keep(results, state)
    wish = role_variables(wish_of(arguments.prepare)) if arguments.prepare else None
    prepared = crew.prepare(able, "prepare", wish) if wish else []
    try:
        crew.run(able, results, plan, lot, f"attempt-{state['attempts']}")
    finally:
        if wish and prepared:
            crew.quiet().prepare(prepared, "restore", wish)


def _report(arguments: argparse.Namespace, plan: Plan, results: ResultSet, interrupted: bool) -> int:
    from harness.cli.show import print_overview
    from harness.tables import write_tables

    verdicts = {record.run_id: record.verdict for record in results.records()}
    missing = splitting.missing_runs(plan, verdicts)
    if verdicts:
        write_tables(results)
        print_overview(results.path, "json" if arguments.json else "text")
        sys.stdout.flush()
    say(f"results: {results.path}")
    if interrupted:
        todo = "go on with --resume" if missing else "no run is missing"
        say(f"pollbench: interrupted; what hosts finished is kept; {todo}")
        return EXIT_INTERRUPTED
    if missing:
        say(f"pollbench: {len(missing)} of {len(plan.runs)} runs are missing; with --resume they are made")
        return EXIT_NOT_VALID
    if set(verdicts.values()) & {"failed", "inert", "suspect"}:
        return EXIT_NOT_VALID
    return EXIT_HOST_LACKS if "skipped" in verdicts.values() else EXIT_OK


def _clean(arguments: argparse.Namespace, hosts: Hosts) -> int:
    board = HostBoard(list(hosts))
    with tempfile.TemporaryDirectory(prefix="pollbench-fleet-") as scratch, stop_on_signals() as stopper:
        crew = Fleet(
            arguments.inventory, hosts, Path(scratch), "", board, lambda: _asked(stopper), arguments.forks
        )
        freed = crew.clean(list(hosts))
    board.close()
    failed = False
    for name in (name for name in hosts if name in freed):
        acts, size = freed[name]["acts"], freed[name]["freed_bytes"]
        failed = failed or any(act["action"] == "failed" for act in acts)
        for act in acts:
            reason = f" ({act['reason']})" if act["reason"] else ""
            print(f"{name}: {act['action']} {act['kind']} {act['subject']}{reason}")
        if size or not acts:
            print(f"{name}: {size / 1e6:.1f} MB removed" if size else f"{name}: nothing to clean")
    if failed:
        return EXIT_NOT_VALID
    return EXIT_OK if len(freed) == len(hosts) else EXIT_NOT_VALID


def _print_shares(plan: Plan, split: splitting.Split, hosts: list[str]) -> int:
    lot = splitting.allot(plan, split, hosts)
    for name in hosts:
        runs = lot.runs_of(name, plan)
        blocks = sorted({run.block for run in runs})
        cells = len({run.cell.cell_id for run in runs})
        print(f"{name}: {len(runs)} runs: {cells} cells, repetitions {', '.join(map(str, blocks)) or 'none'}")
    return EXIT_OK


# -- the set, and what is kept of the fleet beside it ---------------------------------------------------------


def _new_set(arguments: argparse.Namespace, data: bytes, plan: Plan, split: str, hosts: Hosts) -> ResultSet:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    manifest = {
        "seed": plan.seed,
        "command": ["pollbench", *sys.argv[1:]],
        "overrides": dict(overrides_of(arguments.set)),
        "software": {"pollbench": wheel.version()},
        "fleet": {"split": split, "inventory": arguments.inventory, "hosts": list(hosts)},
    }
    results = ResultSet.create(arguments.output, plan.name, stamp, data, plan, manifest, owner_of_results())
    ident = f"{plan.name}-{results.path.name}-{plan.plan_hash[:6]}"
    state = {"ident": ident, "split": split, "hosts": list(hosts), "attempts": 0, "allotted": {}, "facts": {}}
    _keep(results, state)
    return results


def _to_resume(arguments: argparse.Namespace, name: str) -> ResultSet:
    found = ResultSet.latest(arguments.output, name, owner_of_results())
    if found is None or not (found.path / STATE_FILE).is_file():
        got = "there is no result set" if found is None else "no fleet made it"
        raise InputError("resume", str(Path(arguments.output) / name), got, "leave --resume out to begin one")
    return found


def _state(results: ResultSet) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((results.path / STATE_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError("resume", str(results.path / STATE_FILE), str(error), "begin a new set") from None
    return found


def _keep(results: ResultSet, state: dict[str, Any]) -> None:
    results.write_file(STATE_FILE, json.dumps(state, indent=1).encode())


def _asked(stopper: Stopper) -> bool:
    try:
        stopper.check()
    except Interrupted:
        return True
    return False
