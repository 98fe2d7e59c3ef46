"""An experiment in other guests than its file says: under several kernels, or with other random numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

from harness.errors import InputError
from harness.spec.cells import Cell, cell_id
from harness.spec.load import Experiment

FACTOR = "vm.kernel"


def with_kernels(experiment: Experiment, names: Mapping[str, str] | Sequence[str], always: bool = False) -> Experiment:
    """The experiment under one kernel, or with a further factor under several. InputError where the file sweeps it.

    names: kernel sets, or by what tables are to call them; always: with the factor under one as well.
    """
    sets = dict(names) if isinstance(names, Mapping) else {name: name for name in names}
    if any(FACTOR in cell.factors for cell in experiment.cells):
        raise InputError(f'the file sweeps "{FACTOR}"', todo="leave --kernel out", where="--kernel")
    pairs = list(product(zip(experiment.cells, experiment.trees, strict=True), sets))
    document = dict(experiment.document)
    several = always or len(sets) > 1
    document["set"] = {**document.get("set", {}), FACTOR: list(sets) if several else next(iter(sets))}
    cells = tuple(_under(cell, name, sets[name], several) for (cell, _), name in pairs)
    return replace(experiment, cells=cells, trees=tuple(tree for (_, tree), _ in pairs), document=document)


def reseeded(experiment: Experiment, by: int) -> Experiment:
    """The experiment in guests whose seeds (`vm.seed`) are `by` further: other random numbers, and nothing else."""
    if not by:
        return experiment
    cells = (_changed(cell, seed=(cell.spec.machine.seed + by) % 2**32) for cell in experiment.cells)
    return replace(experiment, cells=tuple(cells))


def _under(cell: Cell, label: str, kernel: str, several: bool) -> Cell:
    factors = {**cell.factors, FACTOR: label} if several else cell.factors
    return _changed(replace(cell, factors=factors), kernel=kernel)


def _changed(cell: Cell, **machine: str | int) -> Cell:
    """The cell in another machine, with the id that it then has."""
    spec = replace(cell.spec, machine=cell.spec.machine.model_copy(update=machine))
    document = {**cell.document, "vm": {**(cell.document.get("vm") or {}), **machine}}
    return replace(cell, cell_id=cell_id(cell.case, cell.factors, spec), spec=spec, document=document)
