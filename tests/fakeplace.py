"""A Place that measures nothing, for tests of whoever carries plans out."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import chain

from harness.errors import InputError, Interrupted
from harness.places.place import Backlog, Manifest, Watcher
from harness.plan import Plan, Run
from harness.store import ResultSet, RunRecord


@dataclass
class FakePlace:
    """Makes every run by calling `record`; after `stop_after` runs it is interrupted.

    elsewhere: refuse every set that is to be resumed; made: ids of the runs that were made, in their order.
    """

    record: Callable[[Run], RunRecord]
    redo: Collection[str] = ()
    stop_after: int | None = None
    elsewhere: bool = False
    made: list[str] = field(default_factory=list)

    def manifest(self) -> Manifest:
        """That it is no real place."""
        return {"place": "fake"}

    def accept(self, results: ResultSet) -> None:
        """InputError if sets are made elsewhere."""
        if self.elsewhere:
            raise InputError("resume", str(results.path), "it was made elsewhere", "begin a new one")

    def execute(self, plan: Plan, results: ResultSet, watcher: Watcher) -> None:
        """Make the missing runs."""
        backlog = Backlog(plan, results, self.redo)
        for number, run in enumerate(chain.from_iterable(backlog.repetitions())):
            again = True
            while again:
                if len(self.made) == self.stop_after:
                    raise Interrupted("interrupted", got="SIGINT")
                watcher.starting(run, number, len(backlog.runs))
                record, again = backlog.save(self.record(run), None, {"client.out": b"said"})
                self.made.append(run.run_id)
                (watcher.rejected if again else watcher.finished)(run, record)
