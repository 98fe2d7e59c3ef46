"""One set with everything that its charts need, read from disk once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from harness.analysis.compare import Factors
from harness.analysis.curves import RunShape, Study, shapes, typical_runs
from harness.analysis.curves.reduce import Timeline
from harness.analysis.summary import Overview
from harness.tables.cells import Cell, group_cells

VIEWABLE = 500
"""Runs whose time series is in the page: about one kilobyte each."""


@dataclass(frozen=True)
class Drawn:
    """A set and its samples' shapes; `key` tells its ids on the page from those of other sets."""

    key: str
    study: Study
    view: Overview
    cells: list[Cell]
    shapes: dict[str, RunShape]
    typical: dict[tuple[str, Factors], str]

    @cached_property
    def series(self) -> dict[str, Timeline]:
        """The time series there are, by run id."""
        return {name: shape.timeline for name, shape in self.shapes.items() if shape.timeline is not None}


def draw(key: str, study: Study, view: Overview, viewable: int = VIEWABLE) -> Drawn:
    """Read the samples once: of valid runs for the distributions, of the first runs for the time series."""
    runs = study.source.runs
    cells = group_cells(runs)
    typical = typical_runs(study.source, cells)
    ids = [str(name) for name in runs["run_id"]] if "run_id" in runs.columns else []
    timed = list(dict.fromkeys([*typical.values(), *ids]))[:viewable]
    valid = [ids[row] for cell in cells for row in cell.valid] if ids else []
    by_run = {shape.run_id: shape for shape in shapes(study, list(dict.fromkeys([*valid, *timed])), timed)}
    if study.results is not None:
        # Samples are read here and no earlier, so only now is it known which of them are damaged.
        view = replace(view, warnings=tuple(dict.fromkeys([*view.warnings, *study.results.warnings])))
    return Drawn(key, study, view, cells, by_run, typical)
