"""Experiment and seed to plan: every run decided, named and ordered before any is made."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import InputError
from harness.spec.cells import Cell, CellSpec, SpecBuilder, cell_id, digest
from harness.spec.experiment import CELL_SECTIONS
from harness.spec.load import Experiment, check_cpus, load_experiment
from harness.spec.matrix import MAX_RUNS
from harness.spec.messages import did_you_mean
from harness.spec.yaml_tree import tree_of
from harness.stats.stopping_rule import Adaptive

__all__ = ["Cell", "CellSpec", "Experiment", "Plan", "Run", "check_cpus", "estimate_s", "load_experiment", "make_plan"]

FORMAT = 1
# Building and removing a testbed, settling, probes and saving, per run.
RUN_OVERHEAD_S = 0.2


@dataclass(frozen=True)
class Run:
    """One repetition of one cell. block: which repetition, from 1; order: position in the plan, from 0."""

    run_id: str
    cell: Cell
    block: int
    order: int

    def spec(self) -> CellSpec:
        """The cell's spec with the random numbers of this block: the same for all its cells, so that they pair."""
        spec = self.cell.spec
        background = tuple(workload.of_block(self.block, n) for n, workload in enumerate(spec.background, 1))
        return replace(spec, workload=spec.workload.of_block(self.block), background=background)


@dataclass(frozen=True)
class Plan:
    """What will be run, in which order. document: the resolved experiment as plain data.

    adaptive: when fewer repetitions than `repeat` are enough; None when all of them are made.
    """

    name: str
    description: str
    seed: int
    repeat: int
    order: str
    cells: tuple[Cell, ...]
    runs: tuple[Run, ...]
    document: dict[str, Any]
    plan_hash: str
    adaptive: Adaptive | None = None

    def of_runs(self, runs: Sequence[Run]) -> Plan:
        """The part of the plan that consists of these runs, and of the cells that they need."""
        cells = {run.cell.cell_id: run.cell for run in runs}
        identity = [self.name, self.seed, self.repeat, self.order, [run.run_id for run in runs]]
        plan_hash = digest(identity, length=64)
        return replace(self, runs=tuple(runs), cells=tuple(cells.values()), plan_hash=plan_hash)

    def traces_polls(self) -> bool:
        """Are the polls of NAPIs to be in its traces, too?"""
        return self.document.get("trace") == "polls"

    def traced(self) -> Plan:
        """One further run of every cell, in this plan's order, which is no repetition of it: a plan of its own."""
        cells = {run.cell.cell_id: run.cell for run in self.runs}
        runs = [Run(digest([cell_id, "traced"]), cell, 1, order) for order, (cell_id, cell) in enumerate(cells.items())]
        return replace(self.of_runs(runs), repeat=1, adaptive=None)

    def missing(self, made: Collection[str]) -> list[Run]:
        """The runs whose ids are not among `made`, in the plan's order."""
        return [run for run in self.runs if run.run_id not in made]

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON data; from_json() makes an equal plan of it."""
        return {
            "format": FORMAT,
            "name": self.name,
            "description": self.description,
            "seed": self.seed,
            "repeat": self.repeat,
            "order": self.order,
            "adaptive": self.adaptive.to_json() if self.adaptive else None,
            "plan_hash": self.plan_hash,
            "document": self.document,
            "cells": [
                {
                    "cell_id": cell.cell_id,
                    "case": cell.case,
                    "factors": cell.factors,
                    "napi": cell.spec.napi,
                    "document": cell.document,
                }
                for cell in self.cells
            ],
            "runs": [
                {"run_id": run.run_id, "cell_id": run.cell.cell_id, "block": run.block, "order": run.order}
                for run in self.runs
            ],
        }

    @classmethod
    def from_json(cls, data: Any, where: str = "plan.json") -> Plan:
        """The plan that to_json() gave. InputError, naming `where`, if damaged or of another version."""
        try:
            if data["format"] != FORMAT:
                raise InputError("read a plan", got=f"format {data['format']}, not {FORMAT}", where=where)
            builder = SpecBuilder()
            cells = {item["cell_id"]: _cell(item, builder, where) for item in data["cells"]}
            runs = tuple(
                Run(item["run_id"], cells[item["cell_id"]], item["block"], item["order"]) for item in data["runs"]
            )
            head = {key: data[key] for key in ("name", "description", "seed", "repeat", "order", "document")}
            adaptive = Adaptive.from_json(data["adaptive"]) if data.get("adaptive") else None
            return cls(cells=tuple(cells.values()), runs=runs, plan_hash=data["plan_hash"], adaptive=adaptive, **head)
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError("read a plan", got=f"it is damaged ({error!r})", where=where) from None


def make_plan(
    experiment: Experiment, cases: Sequence[str] | None = None, repeat: int | None = None, seed: int | None = None
) -> Plan:
    """Every run of the chosen cases in its order: one block per repetition, each cell once per block.

    A run's id depends on what it does and on its block, not on seed or `repeat`, so a plan that grows keeps
    its runs. InputError for an unknown case or a repeat below 1.
    """
    adaptive = experiment.adaptive if repeat is None else None
    repeat = experiment.repeat if repeat is None else repeat
    seed = experiment.seed if seed is None else seed
    cells = [cell for cell in experiment.cells if cases is None or cell.case in cases]
    for case in cases or ():
        if case not in experiment.case_descriptions:
            todo = did_you_mean(case, experiment.case_descriptions, "cases")
            raise InputError(f'there is no case "{case}" in {experiment.path}', todo=todo, where="--case")
    if repeat < 1 or repeat * len(cells) > MAX_RUNS:
        todo = f"from 1 to {max(1, MAX_RUNS // max(1, len(cells)))} for {len(cells)} cells"
        raise InputError("repetitions", got=str(repeat), todo=todo, where="--repeat")
    runs = _ordered(experiment.cells, {cell.cell_id for cell in cells}, repeat, seed, experiment.order)
    order = experiment.order
    identity: list[Any] = [experiment.name, seed, repeat, order, [run.run_id for run in runs]]
    if adaptive is not None:
        identity.append(adaptive.to_json())
    return Plan(
        name=experiment.name,
        description=experiment.description,
        seed=seed,
        repeat=repeat,
        order=order,
        cells=tuple(cells),
        runs=runs,
        document=experiment.document,
        plan_hash=digest(identity, length=64),
        adaptive=adaptive,
    )


def estimate_s(plan: Plan, repeat: int | None = None) -> float:
    """Seconds the plan's first `repeat` repetitions (default all) take: warm-up, measured time, what surrounds."""
    return sum(
        RUN_OVERHEAD_S + run.cell.spec.workload.takes_ns() / 1e9
        for run in plan.runs
        if repeat is None or run.block <= repeat
    )


def again_s(plan: Plan) -> float:
    """Seconds that may come on top, for runs that noise spoilt and for waiting for quiet: `checks.redo` of each run."""
    return sum(run.cell.spec.checks.redo * estimate_s(replace(plan, runs=(run,))) for run in plan.runs)


def grows(old: Any, new: Plan, finished: AbstractSet[str]) -> bool:
    """Is `new` the plan `old` (as JSON data) with repetitions added, so that the `finished` runs are kept?

    Of a plan that adapts only the repetitions that it makes in any case, and those made, have to be in `new`.
    """
    try:
        same = (old["name"], old["seed"], old["order"]) == (new.name, new.seed, new.order)
        cells = [item["cell_id"] for item in old["cells"]] == [cell.cell_id for cell in new.cells]
        least = (old.get("adaptive") or {}).get("least", old["repeat"])
        kept = {item["run_id"] for item in old["runs"] if item["block"] <= least} | finished
        runs = kept <= {run.run_id for run in new.runs}
    except (KeyError, TypeError):
        return False
    return same and cells and runs


def _ordered(cells: Sequence[Cell], chosen: set[str], repeat: int, seed: int, order: str) -> tuple[Run, ...]:
    """The chosen cells' runs. All cells are shuffled, so that choosing some keeps their order."""
    sequence: list[tuple[Cell, int]] = []
    for block in range(1, repeat + 1):
        shuffled = list(cells)
        if order == "blocks":
            # Each block has a generator of its own: a block's order does not depend on how many there are.
            random.Random(f"{seed}/{block}").shuffle(shuffled)
        sequence += [(cell, block) for cell in shuffled if cell.cell_id in chosen]
    if order == "sequential":
        places = {cell.cell_id: place for place, cell in enumerate(cells)}
        sequence.sort(key=lambda item: (places[item[0].cell_id], item[1]))
    return tuple(
        Run(digest([cell.cell_id, block]), cell, block, position) for position, (cell, block) in enumerate(sequence)
    )


def _cell(item: Any, builder: SpecBuilder, where: str) -> Cell:
    document = {name: item["document"][name] for name in CELL_SECTIONS if name in item["document"]}
    spec = replace(builder.build(tree_of(document, where)), napi=item["napi"])
    if cell_id(item["case"], item["factors"], spec) != item["cell_id"]:
        raise InputError(
            "read a plan", got=f"cell {item['cell_id']} is not what its name says", todo="plan anew", where=where
        )
    return Cell(item["cell_id"], item["case"], item["factors"], spec, item["document"])
