"""Executes a plan in guests: a boot per machine and repetition, side by side; answers are judged as on the host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, zip_longest
from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import InputError, MissingError, PollbenchError
from harness.kernel import facts
from harness.places.carried import refuse_foreign
from harness.places.place import Backlog, Manifest, Watcher
from harness.places.vm import accel, recipe, wire
from harness.places.vm.boot import Boot, Event, GuestFailure
from harness.places.vm.boots import account_of, boots_of, pairs_of, record_boots
from harness.places.vm.emulator import Qemu
from harness.places.vm.home import Home
from harness.places.vm.image import Image, glibc_of, image_by_hash, image_lacks, libraries_of, open_image
from harness.places.vm.machine_check import GuestAccount, NotAsDeclared, deviations, guest_account
from harness.places.vm.resume import Resumer
from harness.places.vm.seats import Seat, Work, do_all, refuse_beyond, seats
from harness.plan import Plan, Run
from harness.signals import Stopper
from harness.spec.cells import CellSpec
from harness.spec.machine import Machine
from harness.store import ResultSet
from harness.store.record import Scalar
from harness.store.samples import encode
from harness.store.trace import EVENTS_FILE

if TYPE_CHECKING:
    from harness.run.measure import Measured

# A boot that fails without answering a run is tried once more; so is the run that was going on.
_TRIES = 2


class GuestWatcher(Watcher, Protocol):
    """Who is told of progress, boots among it."""

    def booting(self, kernel: str, number: int, total: int) -> None:
        """A guest is about to start, after so many runs."""


@dataclass
class Guests:
    """Guests as a Place: where they come from, and what came of them.

    redo: verdicts whose runs are made again; keep: record the console of a boot also where all went well.
    snapshots: resume guests from snapshots where that can be, in place of booting them.
    may_leave_kvm: where the first guest under KVM does not come up, go on without (nobody asked for KVM, and no run was
    made under it). jobs: how many guests run side by side, None for one on each CPU that is idle; under kvm, whose time
    is real, always one. traced: every run's window is. boots: what each boot was, for the set's vm.json; retried:
    failures of guests that were booted once more.
    """

    home: Home
    emulator: Qemu
    accelerator: str
    stopper: Stopper
    redo: Collection[str] = ()
    keep: bool = False
    may_leave_kvm: bool = False
    snapshots: bool = False
    jobs: int | None = None
    traced: bool = False
    retried: list[str] = field(default_factory=list)
    boots: list[dict[str, Any]] = field(default_factory=list)
    _images: dict[str, Image] = field(default_factory=dict)
    _came_up: bool = False
    _resumer: Resumer | None = None

    def __post_init__(self) -> None:
        if self.snapshots:
            self._resumer = Resumer(self.home, self.stopper)

    def manifest(self) -> Manifest:
        """The facts of this host, and under `vm` the QEMU, the accelerator and the recipe of the image."""
        account = {"accelerator": self.accelerator, "qemu": self.emulator.account()}
        return facts.manifest() | {"vm": account | {"recipe": recipe.recipe_hash()}}

    def accept(self, results: ResultSet) -> None:
        """InputError for a set of another accelerator or another QEMU."""
        made_by = results.manifest.get("vm") or {}
        before = made_by.get("accelerator")
        if before != self.accelerator:
            under = f"under {before}" if before else "on the host"
            got = f"it was made {under}, and this would be {self.accelerator}"
            raise InputError("resume", str(results.path), got, "one set has one accelerator: begin a new one")
        if made_by.get("qemu") != self.emulator.account():
            was = Qemu((), **made_by["qemu"]).label()
            got = f"it was made under {was}, and this would be {self.emulator.label()}"
            todo = "one set has one QEMU: choose by --qemu, or begin a new one"
            raise InputError("resume", str(results.path), got, todo)

    def tracing(self, plan: Plan) -> Guests:  # noqa: ARG002  # its boots have it
        """The same guests, which trace every run, and make none again."""
        return replace(self, traced=True, redo=())

    def execute(self, plan: Plan, results: ResultSet, watcher: GuestWatcher) -> None:
        """Make the missing runs. Raises also PollbenchError when no guest can be had."""
        self.execute_all([(plan, results)], watcher)

    def execute_all(self, parts: Sequence[tuple[Plan, ResultSet]], watcher: GuestWatcher) -> None:
        """The same for several plans, which share boots: runs of one repetition that need the same machine."""
        backlogs = [Backlog(plan, results, self.redo) for plan, results in parts]
        ids = [run.run_id for backlog in backlogs for run in backlog.runs]
        task = _Task(backlogs, watcher, self.stopper, len(set(ids)))
        boots = list(boots_of([run for backlog in backlogs for run in backlog.runs]))
        guest_bytes = max((machine.memory_bytes for machine, _ in boots), default=0)
        asked = 1 if self.accelerator == "kvm" else self.jobs
        try:
            with seats(asked, len(boots), guest_bytes) as taken:
                do_all(self._works(task), taken)
        finally:
            for _, results in parts:
                record_boots(results, task.boots())
            self.boots += task.boots()

    def _works(self, task: _Task) -> Iterator[Work | None]:
        """Every boot, in order. None before a repetition that may not be needed: what was made before it decides."""
        number = 0
        for rounds in zip_longest(*(backlog.repetitions() for backlog in task.backlogs)):
            runs = list(chain.from_iterable(runs or () for runs in rounds))
            for machine, members in boots_of(runs):
                self.stopper.check()
                number += 1
                yield partial(self._make, task, _Share(number, machine, members))
            adaptive = (backlog.plan.adaptive for backlog in task.backlogs)
            if any(rule and runs[-1].block >= rule.least for rule in adaptive):
                yield None

    def pin(self, images: Iterable[Mapping[str, str]]) -> None:
        """Use these artefacts, by their hashes, for the kernels that they name. Raises PollbenchError."""
        for hashes in images:
            kernel = hashes["kernel"]
            if kernel not in self._images:
                self._images[kernel] = image_by_hash(self.home, hashes)
                if kernel == recipe.DEFAULT_KERNEL:
                    self._images[""] = self._images[kernel]

    def verify(self, plan: Plan) -> None:
        """The images that a plan needs, and memory for the jobs, before anything is made. Raises PollbenchError."""
        boots = list(boots_of(list(plan.runs)))
        if self.accelerator != "kvm":
            refuse_beyond(self.jobs, len(boots), max(machine.memory_bytes for machine, _ in boots))
        for kernel in dict.fromkeys(cell.spec.machine.kernel for cell in plan.cells):
            image = self.image(kernel)
        refuse_foreign(plan, lambda: libraries_of(image), glibc_of())

    def image(self, kernel: str) -> Image:
        """The image with a kernel, verified once."""
        if kernel not in self._images:
            self._images[kernel] = open_image(self.home, kernel)
        return self._images[kernel]

    def _make(self, task: _Task, share: _Share, seat: Seat) -> None:
        """Boot until every run has an answer, or was going on in two guests that failed."""
        failures = Counter[str]()
        while share.left:
            for run in list(share.left):
                if lack := self._lack(share.machine, run.cell.spec):
                    task.fail(run, MissingError("make a guest", got=lack))
                    share.left.remove(run)
            if not share.left:
                return
            trouble = self._boot(task, share, seat)
            if trouble is None or self._without_kvm(task, trouble):
                continue
            current = share.current if share.current in share.left else None
            name = current.run_id if current is not None else ""
            failures[name] += 1
            if failures[name] < _TRIES:
                self.retried.append(str(trouble))
                continue
            if current is None:
                raise trouble
            # This run makes guests fail: it is recorded as failed, and the others go on.
            task.fail(current, trouble)
            share.left.remove(current)

    def _without_kvm(self, task: _Task, trouble: GuestFailure) -> bool:
        """KVM passed the probe but brings up no guest: remember that. Returns whether to go on without KVM."""
        if self.accelerator != "kvm" or self._came_up:
            return False
        chosen = accel.without_kvm(self.home, self.emulator, trouble.line())
        if not self.may_leave_kvm or any(backlog.results.records() for backlog in task.backlogs):
            return False
        self.accelerator = chosen.name
        self.retried.append(chosen.why)
        for backlog in task.backlogs:
            account = backlog.results.manifest.get("vm") or {}
            backlog.results.note(vm=account | {"accelerator": chosen.name})
        return True

    def _lack(self, machine: Machine, spec: CellSpec) -> str:
        """What image and QEMU cannot do of a machine and a cell; empty when they can do all."""
        nics = (self.emulator.lacks_nic(link.nic) for link in spec.topology.links if link.kind.needs_guest)
        lacks = next(filter(None, chain(image_lacks(spec), nics)), "")
        release = self.image(machine.kernel).release
        return lacks or self.emulator.lacks_cpus(machine.cpus, release, self.accelerator)

    def _boot(self, task: _Task, share: _Share, seat: Seat) -> GuestFailure | None:
        image, left = self.image(share.machine.kernel), share.left
        pairs = pairs_of([run.cell.spec.topology for run in left])
        plan, runs = task.backlogs[0].plan, tuple(left)
        given = (self.home, self.emulator, image, share.machine, self.accelerator)
        boot = Boot(*given, plan, runs, pairs, self.stopper, self._resumer, seat, self.traced)
        share.current = None
        task.booting(image.kernel)
        environment: dict[str, Scalar] = {}
        guest: GuestAccount | None = None

        def tell(event: Event) -> None:
            nonlocal guest
            self._came_up |= event.get("ev") in ("up", "resumed")
            if event.get("ev") == "ready":
                environment.update(_environment(event, self.accelerator, self.emulator))
                guest = guest_account(event.get("machine"))
                if lacking := deviations(share.machine, guest):
                    raise NotAsDeclared(lacking)
            if event.get("ev") == "begin":
                share.current = next((run for run in left if run.run_id == str(event.get("run_id"))), None)
                task.begin(share.current)

        failure = None
        try:
            for answer in boot.answers(tell):
                run = next(run for run in left if run.run_id == answer.run_id)
                if not task.save(run, answer, environment):
                    left.remove(run)
        except NotAsDeclared as error:
            # Another boot would be the same. No figure is better than one of another machine.
            for run in list(left):
                task.fail(run, error, environment)
                left.remove(run)
        except GuestFailure as error:
            failure = error
        finally:
            task.account(share.number, account_of(boot, guest, failure, self.keep))
        return failure


@dataclass
class _Share:
    """The runs of one boot, of which `left` have no answer. number: which boot; current: the run that it is at."""

    number: int
    machine: Machine
    left: list[Run]
    current: Run | None = None


@dataclass
class _Task:
    """Plans on their way into result sets; told and asked by the threads of all boots, one at a time."""

    backlogs: list[Backlog]
    watcher: GuestWatcher
    stopper: Stopper
    total: int
    done: int = 0
    _accounts: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    _one: RLock = field(default_factory=RLock)

    def booting(self, kernel: str) -> None:
        """A guest is about to start."""
        with self._one:
            self.watcher.booting(kernel, self.done, self.total)

    def begin(self, run: Run | None) -> None:
        """A guest says that it begins a run; None for one that is not of its share."""
        with self._one:
            if run is not None:
                self.watcher.starting(run, self.done, self.total)

    def account(self, number: int, account: dict[str, Any]) -> None:
        """What came of a boot."""
        with self._one:
            self._accounts.setdefault(number, []).append(account)

    def boots(self) -> list[dict[str, Any]]:
        """What came of all boots, in the order of the plan, whichever was done first."""
        return [account for _, accounts in sorted(self._accounts.items()) for account in accounts]

    def fail(self, run: Run, error: PollbenchError, environment: Mapping[str, Scalar] = {}) -> None:
        """Record why a run has no result. environment: empty of one that no guest made."""
        self.save(run, wire.Answer(run.run_id, 0.0, error=error), environment)

    def save(self, run: Run, answer: wire.Answer, environment: Mapping[str, Scalar]) -> bool:
        """Judge an answer by the same code as a run on the host, and put it on the disk; is the run to be made again?

        Then it is, by the next guest of its repetition.
        """
        # Loaded here, while the guest makes its next run.
        from harness.run.runner import make_run

        def take(_spec: CellSpec, _stopper: Stopper, files: dict[str, bytes]) -> Measured:
            files.update(answer.files)
            if answer.events is not None:
                files[EVENTS_FILE] = encode(answer.events)
            if answer.error is not None:
                raise answer.error
            assert answer.measured is not None
            return answer.measured

        with self._one:
            record, samples, files = make_run(run, environment, self.stopper, take)
            record = replace(record, wall_s=answer.wall_s)
            # Plans that share a run have one checks section of it, and the first one's account pays.
            why_not, saved = None, record
            for backlog in (backlog for backlog in self.backlogs if run.run_id in backlog.ids):
                saved, again = backlog.save(record, samples, files, why_not=why_not)
                why_not = None if again else why_not or ""
            if why_not is None:
                self.watcher.rejected(run, saved)
                return True
            self.done += 1
            self.watcher.finished(run, saved)
            return False


def _environment(event: Event, accelerator: str, emulator: Qemu) -> dict[str, Scalar]:
    """The guest's own account of itself, of text only, and what it runs on."""
    account = event.get("environment")
    clean: dict[str, Scalar] = {
        str(key): None if value is None else wire.printable(str(value))[:200]
        for key, value in (account.items() if isinstance(account, dict) else ())
        if str(key).isidentifier()
    }
    under = {} if accelerator == "kvm" else {"virtualisation": "qemu tcg"}
    return clean | under | {"place": "vm", "accelerator": accelerator, "emulator": emulator.label()}
