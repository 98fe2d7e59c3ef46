"""Which host makes which run: whole blocks stay on one host, so that cases are compared within hosts. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.errors import InputError
from harness.plan import Plan, Run, estimate_s
from harness.spec.cells import Cell, cell_id, digest

Split = Literal["blocks", "cells", "repetitions", "none"]
HOST_FACTOR = "fleet.host"
Unit = tuple[str, int]
SLICE_S = 180.0
"""The longest slice, but for one of a single block: a host that vanishes costs so much, starting one 1 % of it."""


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
    plan: Plan,
    split: Split,
    hosts: Sequence[str],
    made: Mapping[str, str] = {},
    before: Mapping[str, str] = {},
    redo: Collection[str] = (),
) -> Allotment:
    """Give every run that is not made to one of `hosts`.

    made: of finished runs, the host that made them; before: how runs were allotted the last time. What a host has begun
    it finishes if it is there; what a missing host has begun another one makes anew, the whole block of it, so that
    no block is of two hosts. With split none nobody can make another host's runs: they stay missing. redo: ids of
    made runs that are to be made again: by the same host, or as part of their block.
    """
    if split == "none":
        owners = {run.run_id: str(run.cell.factors[HOST_FACTOR]) for run in plan.missing(set(made) - set(redo))}
        host = {run_id: host for run_id, host in owners.items() if host in hosts}
        return Allotment(host, frozenset(host) & frozenset(redo))
    load_s = dict.fromkeys(hosts, 0.0)
    given: dict[str, str] = {}
    again: set[str] = set(redo) & set(made)
    free: dict[Unit, list[Run]] = {}
    for unit, runs in units_of(plan, split).items():
        missing = [run for run in runs if run.run_id not in made or run.run_id in redo]
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
            free.setdefault(_group(unit, split), []).extend(missing)
        else:
            given |= {run.run_id: owner for run in missing}
            load_s[owner] += _takes_s(plan, missing)
    # The longest first, each to who has least to do: nobody ends long after the others.
    for runs in sorted(free.values(), key=lambda share: -_takes_s(plan, share)):
        host = min(load_s, key=lambda name: load_s[name])
        given |= {run.run_id: host for run in runs}
        load_s[host] += _takes_s(plan, runs)
    return Allotment(given, frozenset(again))


def units_of(plan: Plan, split: Split = "blocks") -> dict[Unit, list[Run]]:
    """The plan's runs by what one host makes whole."""
    units: dict[Unit, list[Run]] = {}
    for run in plan.runs:
        units.setdefault(_unit(run, split), []).append(run)
    return units


def _unit(run: Run, split: Split) -> Unit:
    """What one host makes whole: a repetition, or of it the cells that are compared, all cases of a sweep point."""
    return "" if split == "repetitions" else digest(dict(run.cell.factors)), run.block


def _group(unit: Unit, split: Split) -> Unit:
    """What is given away in one piece: a block, all repetitions of a group of cells, or one repetition of all cells."""
    return {"cells": (unit[0], 0), "repetitions": ("", unit[1])}.get(split, unit)


def slices_of(plan: Plan, split: Split, lot: Allotment, hosts: int) -> dict[str, list[Run]]:
    """What is still to be made, by name, in pieces that any host may make: whole blocks, some minutes each.

    For `hosts` hosts there are four for each at least, as far as there are blocks, so that a slow one holds up little.
    """
    groups: dict[Unit, list[Run]] = {}
    for unit, runs in units_of(plan, split).items():
        groups.setdefault(_group(unit, split), []).extend(run for run in runs if run.run_id in lot.host)
    most_s = min(SLICE_S, sum(_takes_s(plan, runs) for runs in groups.values()) / (4 * max(1, hosts)))
    slices: list[list[Run]] = []
    held_s = 0.0
    for runs in filter(None, groups.values()):
        takes_s = _takes_s(plan, runs)
        if slices and held_s + takes_s <= most_s:
            slices[-1].extend(runs)
            held_s += takes_s
        else:
            slices.append(list(runs))
            held_s = takes_s
    place = {run.run_id: at for at, run in enumerate(plan.runs)}
    return {
        f"slice-{number:04d}": sorted(runs, key=lambda run: place[run.run_id]) for number, runs in enumerate(slices, 1)
    }


def share_of(plan: Plan, number: int, of: int) -> Plan:
    """The share `number`, from 1, of a plan that is split by blocks into `of` shares of about the same time.

    The same for whoever asks: nobody has to be asked who makes what. Raises InputError for a plan that adapts.
    """
    numbers = share_numbers(plan, of)
    return plan.of_runs([run for run in plan.runs if numbers[run.run_id] == number])


def share_numbers(plan: Plan, of: int) -> dict[str, int]:
    """Of every run, by its id, the number of its share among so many. Raises InputError for a plan that adapts."""
    names = [str(name) for name in range(1, of + 1)]
    lot = allot(fleet_plan(plan, "blocks", names), "blocks", names)
    return {run_id: int(name) for run_id, name in lot.host.items()}


def begun_elsewhere(plan: Plan, made: Mapping[str, str], here: str) -> frozenset[str]:
    """The runs that other hosts have made of blocks that are not whole: `here` makes all of such a block anew.

    made: as for `allot`.
    """
    return allot(plan, "blocks", [here], made).again


def _takes_s(plan: Plan, runs: Sequence[Run]) -> float:
    return estimate_s(replace(plan, runs=tuple(runs)))
