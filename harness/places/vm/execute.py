"""Executes a plan in guests: a boot per machine and repetition, every answer judged and saved as on the host."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby, zip_longest
from typing import Any, Protocol

from harness.errors import MissingError
from harness.places.vm import accel, recipe, wire
from harness.places.vm.boot import Boot, Event, GuestFailure
from harness.places.vm.emulator import Emulator
from harness.places.vm.home import Home
from harness.places.vm.image import Image, image_by_hash, open_image
from harness.places.vm.machine_check import NotAsDeclared, deviations, told
from harness.plan import Plan, Run
from harness.run.measure import Measured
from harness.run.runner import Watcher, enough, make_run
from harness.signals import Stopper
from harness.spec.cells import CellSpec
from harness.spec.machine import Machine
from harness.spec.topology import Topology
from harness.store import ResultSet
from harness.store.record import Scalar

# A boot that fails without answering a run is tried once more; so is the run that was going on.
_TRIES = 2


class GuestWatcher(Watcher, Protocol):
    """Who is told of progress, boots among it."""

    def booting(self, kernel: str, number: int, total: int) -> None:
        """A guest is about to start, after so many runs."""


@dataclass
class Guests:
    """Where guests come from, and what came of them.

    boots: per boot what it was, for the set's vm.json; keep: with its console, also where all went well.
    retried: failures of guests that were booted once more; may_leave_kvm: where the first guest under KVM does not
    come up, go on without (nobody asked for KVM, and no run was made under it).
    """

    home: Home
    emulator: Emulator
    accelerator: str
    stopper: Stopper
    keep: bool = False
    may_leave_kvm: bool = False
    retried: list[str] = field(default_factory=list)
    boots: list[dict[str, Any]] = field(default_factory=list)
    _images: dict[str, Image] = field(default_factory=dict)
    _came_up: bool = False

    def execute(
        self, plan: Plan, results: ResultSet, watcher: GuestWatcher, redo: Collection[str] = ()
    ) -> Counter[str]:
        """Make every run that `results` does not have, or has with a verdict to `redo`.

        How many ended with which verdict. Raises Interrupted, PollbenchError when no guest can be had; finished runs
        are on disk.
        """
        return self.execute_all([(plan, results)], watcher, redo)

    def execute_all(
        self,
        parts: Sequence[tuple[Plan, ResultSet]],
        watcher: GuestWatcher,
        redo: Collection[str] = (),
    ) -> Counter[str]:
        """The same for several plans, which share boots: a repetition's runs of all that need the same machine."""
        shares = [_Share(plan, results, redo) for plan, results in parts]
        task = _Task(shares, watcher, len({run_id for share in shares for run_id in share.ids}))
        for rounds in zip_longest(*(share.repetitions() for share in shares)):
            for machine, runs in boots_of(list(chain.from_iterable(runs or () for runs in rounds))):
                self.stopper.check()
                self._all(task, machine, runs)
        return task.verdicts

    def pin(self, images: Iterable[Mapping[str, str]]) -> None:
        """Use these artefacts, by their hashes, for the kernels that they name. Raises PollbenchError."""
        for each in images:
            if each["kernel"] not in self._images:
                self._images[each["kernel"]] = image_by_hash(self.home, each)
                if each["kernel"] == recipe.DEFAULT_KERNEL:
                    self._images[""] = self._images[each["kernel"]]

    def verify(self, plan: Plan) -> None:
        """The images that a plan needs, before anything is made of it. Raises MissingError, PollbenchError."""
        for kernel in dict.fromkeys(cell.spec.machine.kernel for cell in plan.cells):
            self.image(kernel)

    def image(self, kernel: str) -> Image:
        """The image with a kernel, verified once."""
        if kernel not in self._images:
            self._images[kernel] = open_image(self.home, kernel)
        return self._images[kernel]

    def _all(self, task: _Task, machine: Machine, runs: list[Run]) -> None:
        """Boot until every run has an answer, or was going on twice when its guest came to grief."""
        left, failures = list(runs), Counter[str]()
        while left:
            lacking = [(run, lack) for run in left if (lack := self._lack(machine, run.cell.spec.topology))]
            for run, lack in lacking:
                task.save(
                    self, run, wire.Answer(run.run_id, 0.0, error=MissingError("make a guest", got=lack)), {}
                )
                left.remove(run)
            if not left:
                return
            trouble = self._boot(task, machine, left)
            if trouble is None or self._without_kvm(task, trouble):
                continue
            current = task.current if task.current in left else None
            name = current.run_id if current is not None else ""
            failures[name] += 1
            if failures[name] < _TRIES:
                self.retried.append(str(trouble))
                continue
            if current is None:
                raise trouble
            # It is the run that does it: no result, a failure with its reason; the others go on.
            task.save(self, current, wire.Answer(current.run_id, 0.0, error=trouble), {})
            left.remove(current)

    def _without_kvm(self, task: _Task, trouble: GuestFailure) -> bool:
        """The second half of the probe: KVM ran a boot sector, and not a guest. Remembered; True: go on without it."""
        if self.accelerator != "kvm" or self._came_up:
            return False
        chosen = accel.without_kvm(self.home, self.emulator, trouble.line())
        if not self.may_leave_kvm or any(share.results.records() for share in task.shares):
            return False
        self.accelerator = chosen.name
        self.retried.append(chosen.why)
        for share in task.shares:
            account = share.results.manifest.get("vm") or {}
            share.results.note(vm=account | {"accelerator": chosen.name})
        return True

    def _lack(self, machine: Machine, topology: Topology) -> str:
        """What this QEMU cannot do of a machine and a topology; empty when it can do all."""
        lacks = (self.emulator.lacks_nic(link.nic) for link in topology.links)
        release = self.image(machine.kernel).release
        return next(filter(None, lacks), "") or self.emulator.lacks_cpus(
            machine.cpus, release, self.accelerator
        )

    def _boot(self, task: _Task, machine: Machine, left: list[Run]) -> GuestFailure | None:
        image = self.image(machine.kernel)
        pairs = pairs_of([run.cell.spec.topology for run in left])
        boot = Boot(
            self.home,
            self.emulator,
            image,
            machine,
            self.accelerator,
            task.shares[0].plan,
            tuple(left),
            pairs,
            self.stopper,
        )
        task.current = None
        task.watcher.booting(image.kernel, task.done, task.total)
        environment: dict[str, Scalar] = {}
        account: dict[str, Any] = {}

        def tell(event: Event) -> None:
            self._came_up |= event.get("ev") == "up"
            if event.get("ev") == "ready":
                environment.update(_environment(event, self.accelerator, self.emulator))
                found = told(event.get("machine"))
                account.update(found=found.model_dump())
                if lacking := deviations(machine, found):
                    raise NotAsDeclared(lacking)
            if event.get("ev") == "begin":
                task.begin(str(event.get("run_id")), left)

        failure = None
        try:
            for answer in boot.answers(tell):
                run = next(run for run in left if run.run_id == answer.run_id)
                task.save(self, run, answer, environment)
                left.remove(run)
        except NotAsDeclared as error:
            # Another boot would be no better: better no figure than one of another machine.
            for run in list(left):
                task.save(self, run, wire.Answer(run.run_id, 0.0, error=error), environment)
                left.remove(run)
        except GuestFailure as error:
            failure = error
        finally:
            self.boots.append(_account(boot, failure, self.keep) | account)
        return failure


class _Share:
    """A plan on its way into a result set. missing: its runs that are to be made."""

    def __init__(self, plan: Plan, results: ResultSet, redo: Collection[str]) -> None:
        self.plan, self.results = plan, results
        self.again = {record.run_id for record in results.records() if record.verdict in redo}
        self.missing = missing(plan, results, redo)
        self.ids = {run.run_id for run in self.missing}

    def repetitions(self) -> Iterator[list[Run]]:
        """Its runs, a repetition at a time, as long as those that were made do not suffice."""
        before = None
        for _, block in groupby(self.missing, key=lambda run: run.block):
            runs = list(block)
            if enough(self.plan, self.results, runs[0], before):
                return
            before = runs[-1]
            yield runs


@dataclass
class _Task:
    """Plans on their way into result sets. current: the run that the guest is at."""

    shares: list[_Share]
    watcher: GuestWatcher
    total: int
    done: int = 0
    current: Run | None = None
    verdicts: Counter[str] = field(default_factory=Counter)

    def begin(self, run_id: str, runs: list[Run]) -> None:
        """The guest says that it begins a run."""
        self.current = next((run for run in runs if run.run_id == run_id), None)
        if self.current is not None:
            self.watcher.starting(self.current, self.done, self.total)

    def save(self, guests: Guests, run: Run, answer: wire.Answer, environment: dict[str, Scalar]) -> None:
        """Judge an answer by the same code as a run on the host, and put it on the disk."""

        def take(_spec: CellSpec, _stopper: Stopper, files: dict[str, bytes]) -> Measured:
            files.update(answer.files)
            if answer.error is not None:
                raise answer.error
            assert answer.measured is not None
            return answer.measured

        record, samples, files = make_run(run, environment, guests.stopper, take)
        record = replace(record, wall_s=answer.wall_s)
        for share in self.shares:
            if run.run_id in share.ids:
                share.results.save_run(record, samples, files, replace=run.run_id in share.again)
        self.done += 1
        self.verdicts[record.verdict] += 1
        self.watcher.finished(run, record)


def missing(plan: Plan, results: ResultSet, redo: Collection[str]) -> list[Run]:
    """The runs of a plan that `results` does not have, or has with a verdict to `redo`."""
    kept = {record.run_id for record in results.records() if record.verdict not in redo}
    return [run for run in plan.runs if run.run_id not in kept]


def boots_of(runs: list[Run]) -> Iterator[tuple[Machine, list[Run]]]:
    """Runs in their order, gathered into boots: within a repetition, what needs the same machine shares one.

    A run that two plans have in common is made once.
    """
    for _, block in groupby(runs, key=lambda run: run.block):
        machines: dict[str, dict[str, Run]] = {}
        for run in block:
            machines.setdefault(run.cell.spec.machine.model_dump_json(), {}).setdefault(run.run_id, run)
        for group in machines.values():
            members = list(group.values())
            yield members[0].cell.spec.machine, members


def pairs_of(topologies: list[Topology]) -> dict[str, int]:
    """How many pairs of each NIC model a guest needs to have for all of these topologies, one at a time."""
    most: Counter[str] = Counter()
    for topology in topologies:
        most |= Counter(link.nic for link in topology.links if link.nic != "veth")
    return dict(most)


def _environment(event: Event, accelerator: str, emulator: Emulator) -> dict[str, Scalar]:
    """The guest's own account of itself, of text only, and what it runs on."""
    told = event.get("environment")
    facts = told.items() if isinstance(told, dict) else ()
    clean: dict[str, Scalar] = {
        str(key): None if value is None else wire.printable(str(value))[:200]
        for key, value in facts
        if str(key).isidentifier()
    }
    under = {} if accelerator == "kvm" else {"virtualisation": "qemu tcg"}
    return clean | under | {"place": "vm", "accelerator": accelerator, "emulator": emulator.label()}


def guests_of(boots: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For the manifest: each kind of guest among these boots once, and how it was set to measure."""
    kinds: dict[str, dict[str, Any]] = {}
    for boot in boots:
        if boot.get("found"):
            kind = {key: boot.get(key) for key in ("kernel", "release", "machine", "found")}
            kinds.setdefault(json.dumps(kind, sort_keys=True), kind)
    return list(kinds.values())


def _account(boot: Boot, failure: GuestFailure | None, keep: bool) -> dict[str, Any]:
    times = {str(event.get("ev")): event.get("uptime_s") for event in boot.events if "uptime_s" in event}
    return {
        "kernel": boot.image.kernel,
        "release": boot.image.release,
        "hashes": boot.image.hashes,
        "accelerator": boot.accelerator,
        "qemu": boot.emulator.account(),
        "machine": boot.machine.model_dump(mode="json"),
        "command": boot.argv,
        "guest_uptime_s": times,
        "runs": len(boot.runs),
        "failure": str(failure) if failure else None,
        "console_tail": boot.console[-8000:] if failure or keep else "",
    }
