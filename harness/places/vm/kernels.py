"""An experiment in other guests than its file says: under several kernels, or with other random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from harness.errors import InputError
from harness.spec.cells import Cell, cell_id
from harness.spec.load import Experiment

FACTOR = "vm.kernel"


def with_kernels(experiment: Experiment, names: Sequence[str]) -> Experiment:
    """The experiment under one kernel, or with a further factor under several. InputError where the file sweeps it."""
    if any(FACTOR in cell.factors for cell in experiment.cells):
        raise InputError(f'the file sweeps "{FACTOR}"', todo="leave --kernel out", where="--kernel")
    pairs = list(product(zip(experiment.cells, experiment.trees, strict=True), names))
    document = dict(experiment.document)
    document["set"] = {**document.get("set", {}), FACTOR: list(names) if len(names) > 1 else names[0]}
    cells = tuple(_under(cell, name, len(names) > 1) for (cell, _), name in pairs)
    return replace(experiment, cells=cells, trees=tuple(tree for (_, tree), _ in pairs), document=document)


def reseeded(experiment: Experiment, by: int) -> Experiment:
    """The experiment in guests whose seeds (`vm.seed`) are `by` further: other random numbers, and nothing else."""
    if not by:
        return experiment
    seeds = [(cell.spec.machine.seed + by) % 2**32 for cell in experiment.cells]
    cells = tuple(
        _machine(cell, cell.factors, seed=seed) for cell, seed in zip(experiment.cells, seeds, strict=True)
    )
    return replace(experiment, cells=cells)


def _under(cell: Cell, name: str, several: bool) -> Cell:
    return _machine(cell, {**cell.factors, **({FACTOR: name} if several else {})}, kernel=name)


def _machine(cell: Cell, factors: dict[str, Any], **changes: Any) -> Cell:
    spec = replace(cell.spec, machine=cell.spec.machine.model_copy(update=changes))
    document = {**cell.document, "vm": {**(cell.document.get("vm") or {}), **changes}}
    return Cell(cell_id(cell.case, factors, spec), cell.case, factors, spec, document)
