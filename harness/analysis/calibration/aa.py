"""An experiment turned into an A/A one: one of its cases, twice, under two names."""

from __future__ import annotations

from dataclasses import replace

from harness.analysis.calibration.noise import NAMES
from harness.errors import InputError
from harness.plan import Experiment
from harness.spec.cells import cell_id
from harness.spec.messages import did_you_mean

_SUFFIX = "-calibration"
_LONGEST_NAME = 64


def aa_experiment(experiment: Experiment, case: str | None = None) -> Experiment:
    """The experiment with `case` (default: its first) as its only two cases, under every combination swept.

    Each block has both, in shuffled order. InputError for a case that is not there.
    """
    known = experiment.case_descriptions
    chosen = case if case is not None else next(iter(known))
    if chosen not in known:
        todo = did_you_mean(chosen, known, "cases")
        raise InputError(f'there is no case "{chosen}" in {experiment.path}', todo=todo, where="--case")
    pairs = [(cell, tree) for cell, tree in zip(experiment.cells, experiment.trees, strict=True) if cell.case == chosen]
    doubled = [
        (replace(cell, case=name, cell_id=cell_id(name, cell.factors, cell.spec)), tree)
        for name in NAMES
        for cell, tree in pairs
    ]
    return replace(
        experiment,
        name=experiment.name[: _LONGEST_NAME - len(_SUFFIX)] + _SUFFIX,
        description=f"A/A: the case {chosen} of {experiment.name} under two names",
        adaptive=None,
        case_descriptions=dict.fromkeys(NAMES, f"the case {chosen}"),
        cells=tuple(cell for cell, _ in doubled),
        trees=tuple(tree for _, tree in doubled),
        document={**experiment.document, "calibrates": chosen},
    )
