"""Makes the runs of a plan on this host, one after the other; nobody else measures here meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import chain

from harness.errors import InputError, Interrupted, LostError, PollbenchError
from harness.kernel import facts, journal
from harness.places.place import Backlog, Manifest, Watcher
from harness.plan import Plan, Run, estimate_s
from harness.run.measure import Measured, measure, measure_traced
from harness.run.runner import make_run
from harness.run.two_hosts import OneOfTwo
from harness.signals import Stopper
from harness.spec.cells import CellSpec
from harness.store import ResultSet, RunRecord
from harness.store.record import Scalar

_LOOK_S = 0.2
Measures = Callable[..., Measured]
"""As `measure`, with `alone` beside what every Take is given."""


@dataclass(frozen=True)
class Local:
    """This host as a Place.

    redo: verdicts whose runs are made again; environment: the facts that stand beside every run; take: what measures;
    again: ids of runs that are made again; budget_s: no run is begun that would end later than this, from the start.
    alone: no other host has a part in the runs.
    """

    stopper: Stopper
    redo: Collection[str] = ()
    environment: Mapping[str, Scalar] = field(default_factory=facts.environment)
    take: Measures = measure
    again: Collection[str] = ()
    budget_s: float | None = None
    alone: bool = True

    def manifest(self) -> Manifest:
        """The facts of this host."""
        return facts.manifest()

    def accept(self, results: ResultSet) -> None:
        """Any set of the same plan can be resumed here."""

    def tracing(self, plan: Plan) -> Local:
        """This host, which traces every run, and makes none again."""
        return replace(self, take=partial(measure_traced, polls=plan.traces_polls()), again=())

    def execute(self, plan: Plan, results: ResultSet, watcher: Watcher) -> None:
        """Make the missing runs. Raises also LostError, when the other host of the runs is gone.

        A spent budget is Interrupted; InputError where not even the first run would end within it.
        """
        backlog, begun_s = Backlog(plan, results, self.redo, self.again), time.monotonic()
        try:
            for number, run in enumerate(chain.from_iterable(backlog.repetitions())):
                again = True
                while again:
                    self.stopper.check()
                    ends_s = time.monotonic() - begun_s + estimate_s(replace(plan, runs=(run,)))
                    if self.budget_s is not None and ends_s > self.budget_s:
                        raise self._over(self.budget_s, number)
                    again = self._make(backlog, run, number, watcher)
        finally:
            backlog.settle()

    def _make(self, backlog: Backlog, run: Run, number: int, watcher: Watcher) -> bool:
        """Make a run, and begin to save it; is it to be made again?

        The run before is put on the disk while this one is set up, and nothing of it is left to do when links are tried
        or the host is looked at.
        """

        @cache
        def begin() -> None:
            try:
                backlog.settle()
            except PollbenchError as error:
                # No failure of this run's: it ends here, and whoever settles next says why.
                raise Interrupted("keep a run", got=error.got) from error
            watcher.starting(run, number, len(backlog.runs))

        def saved(record: RunRecord, again: bool) -> None:
            (watcher.rejected if again else watcher.finished)(run, record)

        patience_s = backlog.redo.patience_s(run)

        def take(spec: CellSpec, stopper: Stopper, files: dict[str, bytes]) -> Measured:
            # It waits for a quiet moment, for so long at most.
            share = patience_s * 1e9 / max(1, spec.workload.takes_ns())
            patient = replace(spec, checks=spec.checks.model_copy(update={"redo": share}))
            return self.take(patient, stopper, files, alone=begin)

        record, samples, files = make_run(run, self.environment, self.stopper, take)
        begin()
        why_not = None if self.alone else "two hosts make it together; `--resume --redo suspect` makes it again"
        return backlog.begin_saving(record, samples, files, saved, why_not=why_not)

    def _over(self, budget_s: float, made: int) -> PollbenchError:
        if made:
            return Interrupted(f"the budget of {budget_s:g} s is spent")
        return InputError("measure", got=f"no run ends within {budget_s:g} s", todo="give more", where="--budget")


@contextmanager
def this_host(
    stopper: Stopper, tell: Callable[[str], None], *, wait: bool, redo: Collection[str] = ()
) -> Iterator[Local]:
    """This host for the block, locked; what a killed run left is put back first, since it would falsify the next.

    wait: wait for another run to end. Raises MissingError when there is one and `wait` is false.
    """
    with journal.host_lock(_waiting(stopper, tell) if wait else None):
        undone = journal.clean()
        if undone:
            tell(f"pollbench: put back {len(undone)} thing(s) that a killed run had left")
        yield Local(stopper, redo)


def _waiting(stopper: Stopper, tell: Callable[[str], None]) -> Callable[[str], None]:
    """Waits a little for the host lock, and says once whose turn it is."""
    known = set[str]()

    def wait(holder: str) -> None:
        # For how long it has held it is another text every second.
        who, _, _ = holder.partition(" has held it for ")
        if who not in known:
            known.add(who)
            tell(f"pollbench: waiting for this host: {holder}")
        stopper.pause(_LOOK_S)

    return wait


def assist(plan: Plan, ends: OneOfTwo, stopper: Stopper, watcher: Watcher) -> None:
    """Measure this host's end of every run, and keep no record: the other host is told of failures, and records them.

    Raises Interrupted, LostError.
    """
    for number, run in enumerate(plan.runs):
        stopper.check()
        watcher.starting(run, number, len(plan.runs))
        try:
            measure(run.spec(), stopper, {}, ends)
        except (Interrupted, LostError):
            raise
        except Exception:  # noqa: BLE001  # whatever it is: the other host waits for the next run
            continue
