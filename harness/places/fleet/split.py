"""Which host makes which run: whole blocks stay on one host, so that cases are compared within hosts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.errors import InputError
from harness.plan import Plan, Run, estimate_s
from harness.spec.cells import Cell, cell_id, digest

Split = Literal["cells", "repetitions", "none"]
HOST_FACTOR = "fleet.host"
Unit = tuple[str, int]


@dataclass(frozen=True)
class Allotment:
    """host: of every run still to be made, its host. again: of these, runs to be made though a host finished them."""

    host: dict[str, str]
    again: frozenset[str] = frozenset()

    def runs_of(self, host: str, plan: Plan) -> list[Run]:
        """A host's share, in the plan's order."""
        return [run for run in plan.runs if self.host.get(run.run_id) == host]


def fleet_plan(plan: Plan, split: Split, hosts: Sequence[str]) -> Plan:
    """The plan of the whole fleet: with split none every host makes all of it, as a factor of its own.

    Raises InputError for a plan that adapts: no host alone sees whether there are enough repetitions.
    """
    if plan.adaptive is not None:
        got, todo = f"repeat: {plan.adaptive.least} to {plan.adaptive.most}", "name a number of repetitions: --repeat N"
        raise InputError("split a plan that adapts", got=got, todo=todo, where="repeat")
    if split != "none":
        return plan
    cells = {(cell.cell_id, host): _cell_of(cell, host) for cell in plan.cells for host in hosts}
    runs = []
    for host in hosts:
        for run in plan.runs:
            cell = cells[run.cell.cell_id, host]
            runs.append(Run(digest([cell.cell_id, run.block]), cell, run.block, run.order))
    return replace(plan.of_runs(runs), cells=tuple(cells.values()))


def _cell_of(cell: Cell, host: str) -> Cell:
    factors = {**cell.factors, HOST_FACTOR: host}
    return Cell(cell_id(cell.case, factors, cell.spec), cell.case, factors, cell.spec, cell.document)


def allot(
    plan: Plan, split: Split, hosts: Sequence[str], made: Mapping[str, str] = {}, before: Mapping[str, str] = {}
) -> Allotment:
    """Give every run that is not made to one of `hosts`.

    made: of finished runs, the host that made them; before: how runs were allotted the last time. What a host has begun
    it finishes if it is there; what a missing host has begun another one makes anew, the whole block of it, so that
    no block is of two hosts. With split none nobody can make another host's runs: they stay missing.
    """
    if split == "none":
        owners = {run.run_id: str(run.cell.factors[HOST_FACTOR]) for run in plan.missing(made)}
        return Allotment({run_id: host for run_id, host in owners.items() if host in hosts})
    units: dict[Unit, list[Run]] = {}
    for run in plan.runs:
        units.setdefault(_unit(run, split), []).append(run)
    load_s = dict.fromkeys(hosts, 0.0)
    given: dict[str, str] = {}
    again: set[str] = set()
    free: dict[str | int, list[Run]] = {}
    for unit, runs in units.items():
        missing = [run for run in runs if run.run_id not in made]
        if not missing:
            continue
        begun = {made[run.run_id] for run in runs if run.run_id in made}
        owner = next(iter(sorted(begun & set(hosts))), None)
        if len(begun) > 1 or (begun and owner is None):
            again |= {run.run_id for run in runs if run.run_id in made}
            missing = list(runs)
            owner = None
        elif owner is None and before.get(runs[0].run_id) in hosts:
            owner = before[runs[0].run_id]
        if owner is None:
            # Given away in one piece: all repetitions of a group of cells, or one repetition of all cells.
            free.setdefault(unit[0] or unit[1], []).extend(missing)
        else:
            given |= {run.run_id: owner for run in missing}
            load_s[owner] += _takes_s(plan, missing)
    # The longest first, each to who has least to do: nobody ends long after the others.
    for runs in sorted(free.values(), key=lambda share: -_takes_s(plan, share)):
        host = min(load_s, key=lambda name: load_s[name])
        given |= {run.run_id: host for run in runs}
        load_s[host] += _takes_s(plan, runs)
    return Allotment(given, frozenset(again))


def _unit(run: Run, split: Split) -> Unit:
    """What one host makes whole: a block or, in a plan split by cells, the cells of a block that are compared.

    Compared with each other are all cases under the same factors.
    """
    return digest(dict(run.cell.factors)) if split == "cells" else "", run.block


def _takes_s(plan: Plan, runs: Sequence[Run]) -> float:
    return estimate_s(replace(plan, runs=tuple(runs)))
