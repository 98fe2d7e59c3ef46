"""Where the runs of a plan are made, behind one protocol; and which runs are still to be made."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import groupby
from typing import Any, Protocol, TypeVar

import numpy.typing as npt

from harness.plan import Plan, Run
from harness.stats import stopping_rule
from harness.store import ResultSet, RunRecord

Manifest = dict[str, Any]
"""What a result set records beside its plan, as JSON data: facts of the place under keys of the place's own."""
WatcherT = TypeVar("WatcherT", contravariant=True)


class Watcher(Protocol):
    """Who is told of progress; called between runs only, so that showing it disturbs no measurement."""

    def starting(self, run: Run, number: int, total: int) -> None:
        """A run is about to begin."""

    def finished(self, run: Run, record: RunRecord) -> None:
        """A run is on disk."""


class Place(Protocol[WatcherT]):
    """This host (local.py), guests (vm/execute.py) or the hosts of a fleet (fleet/execute.py)."""

    def manifest(self) -> Manifest:
        """What a set that is made here records of the place."""

    def accept(self, results: ResultSet) -> None:
        """Raise InputError for a set that cannot be resumed here, because it was made elsewhere."""

    def execute(self, plan: Plan, results: ResultSet, watcher: WatcherT) -> None:
        """Make every run of the plan that `results` lacks; each is on disk before the next begins.

        Raises Interrupted on a stop request, another PollbenchError when the place fails. Finished runs are kept
        either way, and nothing is left running.
        """


class Backlog:
    """The runs that a result set lacks of its plan, or has with a verdict to `redo`, or that are to be made `again`."""

    def __init__(self, plan: Plan, results: ResultSet, redo: Collection[str] = (), again: Collection[str] = ()) -> None:
        records = results.records()
        self.plan, self.results = plan, results
        self.again = {record.run_id for record in records if record.verdict in redo} | set(again)
        """Ids of the runs that replace a record on disk."""
        self.runs = plan.missing({record.run_id for record in records} - self.again)
        self.ids = {run.run_id for run in self.runs}

    def repetitions(self) -> Iterator[list[Run]]:
        """The runs, a repetition at a time; of a plan that adapts, until the runs that were made suffice."""
        before = None
        for _, block in groupby(self.runs, key=lambda run: run.block):
            runs = list(block)
            if self._enough(runs[0], before):
                return
            before = runs[-1]
            yield runs

    def save(self, record: RunRecord, samples: npt.NDArray[Any] | None, files: Mapping[str, bytes]) -> None:
        """Put a run of this backlog on the disk, in place of an older one if it is made again."""
        self.results.save_run(record, samples, files, replace=record.run_id in self.again)

    def _enough(self, run: Run, before: Run | None) -> bool:
        """Do the repetitions before this run's suffice? A repetition that was begun is made whole."""
        rule = self.plan.adaptive
        if rule is None or run.block == 1 or (before is not None and before.block == run.block):
            return False
        records = self.results.records()
        if before is None and any(record.block == run.block for record in records):
            return False
        return stopping_rule.state(rule, records, run.block - 1).enough
