"""An experiment under several kernels: every cell once for each, told apart by the factor `vm.kernel`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

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


def _under(cell: Cell, name: str, several: bool) -> Cell:
    spec = replace(cell.spec, machine=cell.spec.machine.model_copy(update={"kernel": name}))
    factors = {**cell.factors, **({FACTOR: name} if several else {})}
    document = {**cell.document, "vm": {**(cell.document.get("vm") or {}), "kernel": name}}
    return Cell(cell_id(cell.case, factors, spec), cell.case, factors, spec, document)
