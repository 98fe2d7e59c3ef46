"""One traced run of every cell of a plan, in a result set of its own beneath the plan's: no table counts it."""

from __future__ import annotations

from dataclasses import replace

from harness.analysis.tail.cell import TRACED
from harness.places.local import Local
from harness.places.place import Watcher
from harness.plan import Plan
from harness.run.measure import measure_traced
from harness.store import ResultSet


def trace_cells(place: Local, plan: Plan, results: ResultSet, stamp: str, watcher: Watcher) -> None:
    """Make the traced run of every cell that has none yet, after all others. Raises as `Local.execute` does.

    stamp: the name of a set that begins now; one of the same plan is gone on with.
    """
    traced_plan = plan.traced()
    traced = ResultSet.latest(results.path, TRACED, results.owner)
    if traced is None or not traced.same_plan(traced_plan):
        manifest = place.manifest() | {"seed": plan.seed, "trace": "tail"}
        traced = ResultSet.create(results.path, TRACED, stamp, results.experiment, traced_plan, manifest, results.owner)
    replace(place, take=measure_traced, again=()).execute(traced_plan, traced, watcher)
