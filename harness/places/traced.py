"""One traced run of every cell of a plan, in a result set of its own beneath the plan's: no table counts it."""

from __future__ import annotations

from typing import Protocol

from harness.places.place import Place, WatcherT
from harness.plan import Plan
from harness.store import ResultSet
from harness.store.trace import TRACED


class TracingPlace(Place[WatcherT], Protocol[WatcherT]):
    """A place whose runs can be traced: this host, and guests."""

    def tracing(self, plan: Plan) -> Place[WatcherT]:
        """The same place, which traces every run as the plan asks, and makes none again."""


def trace_cells(place: TracingPlace[WatcherT], plan: Plan, results: ResultSet, stamp: str, watcher: WatcherT) -> None:
    """Make the traced run of every cell that has none yet, after all others. Raises as `Local.execute` does.

    stamp: the name of a set that begins now; one of the same plan is gone on with, unless it lacks the polls.
    """
    traced_plan, polls = plan.traced(), plan.traces_polls()
    traced = ResultSet.latest(results.path, TRACED, results.owner)
    without = traced is not None and polls and traced.manifest.get("trace") != "polls"
    if traced is None or without or not traced.same_plan(traced_plan):
        manifest = place.manifest() | {"seed": plan.seed, "trace": "polls" if polls else "tail"}
        traced = ResultSet.create(results.path, TRACED, stamp, results.experiment, traced_plan, manifest, results.owner)
    place.tracing(plan).execute(traced_plan, traced, watcher)
