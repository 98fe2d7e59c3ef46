"""`pollbench plan`: what would run, in which order, for how long, and what this host would skip."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from harness.errors import EXIT_OK, InputError
from harness.kernel import facts
from harness.plan import Plan, again_s, estimate_s, make_plan
from harness.spec.cells import CellSpec
from harness.spec.load import Experiment, check_cpus, load_experiment
from harness.topology.placed import check_layout, refuse_here

Takes = Callable[[Plan, int | None], float]
"""Seconds that a plan's first repetitions take, None for all of them."""


def overrides_of(texts: list[str]) -> list[tuple[str, str]]:
    """--set KEY=VALUE, taken apart. Raises InputError where there is no `=`."""
    pairs = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            todo = "for example --set workload.duration=2s"
            raise InputError("read --set", got=f"{text!r} is not KEY=VALUE", todo=todo)
        pairs.append((key.strip(), value.strip()))
    return pairs


def plan_of(arguments: argparse.Namespace, guest: bool = False) -> tuple[Experiment, Plan]:
    """The checked experiment and its plan, for `run`, `plan`, `doctor` and (guest) `vm run`. Raises InputError."""
    experiment = load_experiment(arguments.file, overrides_of(arguments.set), arguments.quick, guest)
    check_cpus(experiment, None if guest else facts.online_cpus())
    check_layout(experiment)
    if not guest:
        _refuse_machines(experiment)
    return experiment, make_plan(experiment, cases=arguments.case, repeat=arguments.repeat, seed=arguments.seed)


def _refuse_machines(experiment: Experiment) -> None:
    """InputError where cells differ in the machine of a guest: on this host they would not differ."""
    machines = {cell.spec.machine.model_dump_json() for cell in experiment.cells}
    if len(machines) > 1:
        got = "its cells differ in `vm`, which means something only in a guest"
        raise InputError("run on this host", experiment.path, got, f"type: pollbench vm run {experiment.path}")


def refuse_inventory_hosts(plan: Plan) -> None:
    """InputError for a plan whose nodes are on hosts of an inventory."""
    for cell in plan.cells:
        refuse_here(cell.spec.topology)


def plan(arguments: argparse.Namespace) -> int:
    """Print what would run; see `pollbench plan --help`."""
    experiment, made = plan_of(arguments)
    return print_plan(experiment, made, as_json=arguments.json)


def print_plan(
    experiment: Experiment,
    made: Plan,
    *,
    as_json: bool,
    in_guests: Takes | None = None,
    lacking: Callable[[CellSpec], list[str]] | None = None,
) -> int:
    """Print the cells, the order, the time, and what will be skipped and why.

    in_guests: how long the plan takes in guests, where it is to run there; lacking: what these lack for a cell.
    """
    from harness.run import limits
    from harness.run.capabilities import has_netem, lacks
    from harness.topology.pacing import link_notes

    memory = limits.account(made.cells, guest=in_guests is not None)
    takes = in_guests or estimate_s
    missing = {cell.cell_id: (lacking or lacks)(cell.spec) for cell in made.cells}
    if as_json:
        skips = {cell_id: reasons for cell_id, reasons in missing.items() if reasons}
        needs = {"memory": {"cell": memory.label, "needs_bytes": memory.needs_bytes, "has_bytes": memory.has_bytes}}
        print(json.dumps(made.to_json() | _estimates(made, takes) | {"skips": skips} | needs, indent=2))
        return EXIT_OK
    print(f"{made.name}: {experiment.description}" if experiment.description else made.name)
    print(
        f"{_size(made, takes)}; order {made.order}, seed {made.seed}; "
        f"datapath {'napi' if made.cells[0].spec.napi else 'plain'}"
    )
    if memory.needs_bytes >= limits.WORTH_SAYING_BYTES or not memory.fits:
        print(f"memory of {memory.label}: about {memory.words()}")
    if not memory.fits and memory.has_bytes is not None:
        has = f"{limits.in_units(memory.has_bytes)} {'in the guest' if in_guests else 'free here'}"
        print(f"there is less, {has}: it would be refused")
    print()
    noted: set[str] = set()
    firsts: dict[str, str] = {}
    for cell in made.cells:
        print(f"  {cell.label()}")
        own = [(reason, firsts.setdefault(reason, cell.label())) for reason in missing[cell.cell_id]]
        for words in dict.fromkeys(why if at == cell.label() else f"for the reason of {at}" for why, at in own):
            print(f"      will be skipped: {words}")
        notes = (
            link_notes(cell.spec.topology, in_guests is not None or has_netem()) if not missing[cell.cell_id] else []
        )
        print("".join(f"      note: {note}\n" for note in notes if note not in noted), end="")
        noted.update(notes)
    print("\norder of the runs:")
    for block in range(1, made.repeat + 1):
        labels = [run.cell.label() for run in made.runs if run.block == block]
        if labels:
            print(f"  repetition {block}: " + ", ".join(labels))
    return EXIT_OK


def _estimates(made: Plan, takes: Takes) -> dict[str, float]:
    estimates = {"estimate_s": round(takes(made, None), 1), "again_s": round(again_s(made), 1)}
    if made.adaptive is not None:
        estimates["estimate_min_s"] = round(takes(made, made.adaptive.least), 1)
    return estimates


def _size(made: Plan, takes: Takes) -> str:
    """How many runs, and how long they take."""
    cells, most = len(made.cells), in_words(takes(made, None))
    rule, spare_s = made.adaptive, again_s(made)
    again = f", and up to {in_words(spare_s)} more for runs that noise spoils (checks.redo)" if spare_s else ""
    if rule is None:
        return f"{cells} cells x {made.repeat} repetitions = {len(made.runs)} runs, about {most}{again}"
    least = in_words(takes(made, rule.least))
    return (
        f"{cells} cells x {rule.least} to {rule.most} repetitions = {cells * rule.least} to {len(made.runs)} runs, "
        f"about {least} to {most}, {rule.words()}{again}"
    )


def in_words(seconds: float) -> str:
    """A duration as people say it."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
