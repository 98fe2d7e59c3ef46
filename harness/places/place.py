"""Where the runs of a plan are made, behind one protocol; and which runs are still to be made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy.typing as npt

from harness.places.redo import Redo
from harness.plan import Plan, Run
from harness.stats import stopping_rule
from harness.stats.stopping_rule import cell_of
from harness.store import ResultSet, RunRecord

Manifest = dict[str, Any]
"""What a result set records beside its plan, as JSON data: facts of the place under keys of the place's own."""
WatcherT = TypeVar("WatcherT", contravariant=True)
NOT_AGAIN = "not made again"
"""How the reason begins why a run that noise spoilt stays as it is."""


class Watcher(Protocol):
    """Who is told of progress; called between runs only, so that showing it disturbs no measurement."""

    def starting(self, run: Run, number: int, total: int) -> None:
        """A run is about to begin."""

    def rejected(self, run: Run, record: RunRecord) -> None:
        """An attempt is on disk that does not count: noise spoilt it, and the run is made again at once."""

    def finished(self, run: Run, record: RunRecord) -> None:
        """A run is on disk."""


class Place(Protocol[WatcherT]):
    """This host (local.py), guests (vm/execute.py) or the hosts of a fleet (fleet/execute.py)."""

    def manifest(self) -> Manifest:
        """What a set that is made here records of the place."""

    def accept(self, results: ResultSet) -> None:
        """Raise InputError for a set that cannot be resumed here, because it was made elsewhere."""

    def execute(self, plan: Plan, results: ResultSet, watcher: WatcherT) -> None:
        """Make every run of the plan that `results` lacks; each is on disk before the next is measured.

        Raises Interrupted on a stop request, another PollbenchError when the place fails. Finished runs are kept
        either way, and nothing is left running.
        """


class Backlog:
    """The runs that a result set lacks of its plan, or has with a verdict to `redo`, or that are to be made `again`."""

    def __init__(self, plan: Plan, results: ResultSet, redo: Collection[str] = (), again: Collection[str] = ()) -> None:
        records = results.records()
        self.plan, self.results = plan, results
        self.redo = Redo(plan, records)
        """The account of runs that noise spoilt."""
        made_again = {record.run_id for record in records if record.verdict in redo} | set(again)
        self.runs = plan.missing({record.run_id for record in records} - made_again)
        self.ids = {run.run_id for run in self.runs}
        self._runs = {run.run_id: run for run in self.runs}
        # What is on the disk and does not count, by run: a new attempt takes its place, and keeps it beside itself.
        self._before = {record.run_id: record for record in records if record.run_id in made_again}
        self._writing: tuple[Future[Path], Callable[[], None]] | None = None

    def repetitions(self) -> Iterator[list[Run]]:
        """The runs, a repetition at a time; of a plan that adapts, until the runs that were made suffice."""
        before = None
        for _, block in groupby(self.runs, key=lambda run: run.block):
            runs = list(block)
            rule = self.plan.adaptive
            now = self._state(runs[0], before)
            if now is not None and now.enough:
                return
            before = runs[-1]
            settled = now.settled if now is not None else ()
            if rule is None or not settled:
                yield runs
            elif wanted := [run for run in runs if cell_of(run.cell.case, run.cell.factors) not in settled]:
                yield wanted

    def save(
        self,
        record: RunRecord,
        samples: npt.NDArray[Any] | None,
        files: Mapping[str, bytes],
        *,
        why_not: str | None = None,
    ) -> tuple[RunRecord, bool]:
        """Put a run of this backlog on the disk: (its record, whether it is to be made again at once).

        One that replaces an older attempt keeps that beside itself. why_not: why this run cannot be made again.
        """
        record, files, replaces, again = self._attempt(record, files, why_not)
        self.results.save_run(record, samples, files, replace=replaces)
        return record, again

    def begin_saving(
        self,
        record: RunRecord,
        samples: npt.NDArray[Any] | None,
        files: Mapping[str, bytes],
        then: Callable[[RunRecord, bool], None],
        *,
        why_not: str | None = None,
    ) -> bool:
        """Begin the same; `settle` ends it, and calls `then` with the record and what this returned.

        Raises what `settle` raises.
        """
        self.settle()
        record, files, replaces, again = self._attempt(record, files, why_not)
        # A thread for this alone, which ends with it: nothing of ours is to be woken beside a measurement.
        pool = ThreadPoolExecutor(1, "saving")
        written = pool.submit(self.results.save_run, record, samples, files, replace=replaces)
        pool.shutdown(wait=False)
        self._writing = written, partial(then, record, again)
        return again

    def settle(self) -> None:
        """Wait until what was begun to be saved is on the disk. PollbenchError where it cannot be, again and again."""
        if self._writing is not None:
            written, then = self._writing
            written.result()
            self._writing = None
            then()

    def _attempt(
        self, record: RunRecord, files: Mapping[str, bytes], why_not: str | None
    ) -> tuple[RunRecord, Mapping[str, bytes], bool, bool]:
        """(the record and the files as they are kept, does it replace one on the disk, is the run to be made again)."""
        run, before = self._runs[record.run_id], self._before.pop(record.run_id, None)
        if before is not None:
            rejected = (*before.rejected, "; ".join(before.reasons) or before.verdict)
            again_s = round(before.again_s + (before.wall_s or 0.0), 6)
            record = replace(record, attempt=before.attempt + 1, rejected=rejected, again_s=again_s)
            files = {**self.results.as_rejected(before), **files}
        reason = self.redo.why_not(run, record, record.attempt)
        if reason is None and why_not is not None:
            reason = why_not
        if reason:
            record = replace(record, reasons=(*record.reasons, f"{NOT_AGAIN}: {reason}"))
        if reason is None:
            self._before[record.run_id] = record
        return record, files, before is not None, reason is None

    def _state(self, run: Run, before: Run | None) -> stopping_rule.State | None:
        """What the repetitions before this run's say; None where they are not asked.

        A repetition that was begun is made whole, as far as it was to be.
        """
        rule = self.plan.adaptive
        if rule is None or run.block == 1 or (before is not None and before.block == run.block):
            return None
        self.settle()
        records = self.results.records()
        now = stopping_rule.state(rule, records, run.block - 1)
        if before is None and now.enough and any(record.block == run.block for record in records):
            return None
        return now
