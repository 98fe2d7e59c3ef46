"""Where `pollbench tune` makes its runs: here, on two hosts, or in guests; of these foreseen steps side by side."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from harness.analysis.tune.course import Course
from harness.cli.building import build_programs
from harness.cli.fleet import refuse_sudo
from harness.cli.plan import refuse_inventory_hosts
from harness.cli.progress import HostBoard, Progress
from harness.cli.terminal import need_root, say
from harness.cli.vm import machine_of, own_kernels, progress_of, resumes, say_retried
from harness.errors import InputError, MissingError
from harness.kernel import facts
from harness.places.fleet.execute import Fleet
from harness.places.fleet.inventory import Hosts, hosts_in
from harness.places.fleet.share import Pair, pair_of
from harness.places.local import Local, this_host
from harness.places.place import Backlog, Place
from harness.places.vm.execute import Guests
from harness.places.vm.home import Home
from harness.places.vm.image import image_lacks
from harness.plan import Experiment, Plan, Run, check_cpus
from harness.run.capabilities import lacks
from harness.run.limits import refuse_beyond
from harness.signals import Stopper
from harness.spec.cells import CellSpec
from harness.store import ResultSet
from harness.topology.placed import refuse_here


class TunePlace(Protocol):
    """guest: files are read as guests are to run them."""

    guest: bool

    def overrides(self) -> list[tuple[str, str]]:
        """What the place's own options set."""

    def lacks(self, spec: CellSpec, /) -> list[str]:
        """Why a cell cannot be had there, as far as is known before."""

    def check(self, experiment: Experiment, plan: Plan) -> None:
        """InputError for what can never run there."""

    @contextmanager
    def opened(self, stopper: Stopper) -> Iterator[Place[Any]]:
        """The place, for the block."""

    def due(self, course: Course, runs: Sequence[Run], /) -> tuple[Run, ...]:
        """The runs to be made now, of which these are the first."""

    def progress(self, place: Place[Any], part: Plan, results: ResultSet, /) -> AbstractContextManager[Any]:
        """Who is told of the runs that a part of the plan still lacks; says how long they take."""


@dataclass
class TuneHost:
    """This host, as root: a step at a time."""

    wait: bool
    guest: bool = False

    def overrides(self) -> list[tuple[str, str]]:
        """Nothing."""
        return []

    def lacks(self, spec: CellSpec, /) -> list[str]:
        """As far as can be tried. InputError for nodes that are on other hosts."""
        refuse_here(spec.topology)
        return lacks(spec)

    def check(self, experiment: Experiment, plan: Plan) -> None:
        """CPUs that are not there, and nodes on other hosts."""
        check_cpus(experiment, facts.online_cpus())
        refuse_inventory_hosts(plan)

    @contextmanager
    def opened(self, stopper: Stopper) -> Iterator[Place[Any]]:
        """Locked."""
        need_root("tune")
        with this_host(stopper, say, wait=self.wait) as place:
            yield place

    def due(self, _course: Course, runs: Sequence[Run], /) -> tuple[Run, ...]:
        """The step alone: whoever looks on sees after each who leads."""
        return tuple(runs)

    def progress(self, _place: Place[Any], _part: Plan, _results: ResultSet, /) -> Progress:
        """A line a run."""
        return Progress()


@dataclass
class TuneWire:
    """Two hosts of an inventory, the client's and the server's: a play for each step. pair: who they are."""

    inventories: Sequence[str]
    guest: bool = False
    hosts: Hosts = field(default_factory=dict)
    pair: Pair | None = None

    def overrides(self) -> list[tuple[str, str]]:
        """Nothing."""
        return []

    def lacks(self, _spec: CellSpec, /) -> list[str]:
        """Nothing that could be known before they are asked: it leaves the race by its first run."""
        return []

    def check(self, experiment: Experiment, plan: Plan) -> None:
        """Nodes that are on no hosts, or on others than the inventory has."""
        refuse_sudo()
        known = hosts_in(self.inventories)
        self.pair = pair_of(plan, known, experiment.path)
        if self.pair is None:
            got, todo = "its nodes are on no host", "name hosts in topology.nodes, or let each host tune for itself"
            raise InputError("tune over a wire", experiment.path, got, todo, "-i")
        self.hosts = {name: known[name] for name in self.pair.hosts}

    @contextmanager
    def opened(self, stopper: Stopper) -> Iterator[Place[Any]]:
        """Both, by Ansible."""
        yield Fleet(self.inventories, self.hosts, "blocks", stopper, self.pair, "", len(self.hosts), 1.0)

    def due(self, course: Course, _runs: Sequence[Run], /) -> tuple[Run, ...]:
        """With the steps that come whatever this one shows: a play takes seconds to begin."""
        return course.foreseen()

    def progress(self, _place: Place[Any], _part: Plan, _results: ResultSet, /) -> AbstractContextManager[HostBoard]:
        """What each of them says."""
        return nullcontext(HostBoard(list(self.hosts)))


class TuneGuests:
    """Guests, without root: a boot for every block."""

    guest = True

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments, self._home = arguments, Home()

    def overrides(self) -> list[tuple[str, str]]:
        """The kernel that --kernel names."""
        names = own_kernels(self._arguments, self._home)
        if len(names) > 1:
            todo = 'one at a time, or in the file `across: {vm.kernel: ["6.1", "6.12"]}`, for a setting good under all'
            raise InputError("tune", got=f"{len(names)} kernels are named", todo=todo, where="--kernel")
        return [("vm.kernel", json.dumps(name)) for name in names.values()]

    def lacks(self, spec: CellSpec, /) -> list[str]:
        """What the image lacks; whatever else a guest does lets a setting leave the race by its first run."""
        return image_lacks(spec)

    def check(self, experiment: Experiment, plan: Plan) -> None:
        """CPUs and memory that the declared machine has not, and nodes on hosts."""
        check_cpus(experiment, None)
        refuse_inventory_hosts(plan)
        refuse_beyond(experiment, plan, guest=True)

    @contextmanager
    def opened(self, stopper: Stopper) -> Iterator[Place[Any]]:
        """QEMU, and how it runs."""
        own = self._arguments
        emulator, accelerator = machine_of(own, self._home)
        saved = resumes(own, accelerator)
        leave = own.accel == "auto"
        guests = Guests(self._home, emulator, accelerator, stopper, may_leave_kvm=leave, snapshots=saved, jobs=own.jobs)
        yield guests
        say_retried(guests)

    def due(self, course: Course, _runs: Sequence[Run], /) -> tuple[Run, ...]:
        """With the steps that come whatever this one shows, so that their guests run side by side."""
        return course.foreseen()

    def progress(self, place: Place[Any], part: Plan, results: ResultSet, /) -> Progress:
        """A line a run, and a boot a block."""
        assert isinstance(place, Guests)
        place.verify(part)
        return progress_of(place, [(part, results)])


def make(where: TunePlace, place: Place[Any], part: Plan, results: ResultSet) -> None:
    """Make what a part of the plan lacks, and once more what then does not count. Raises PollbenchError."""
    assert isinstance(place, (Local, Guests, Fleet))
    build_programs(part)
    for turn in (place, replace(place, redo=again_in(place))):
        if Backlog(part, results, turn.redo).runs:
            with where.progress(turn, part, results) as shown:
                turn.execute(part, results, shown)
    if len(part.missing(set(results.run_ids()))) == len(part.runs):
        todo = f"see the lines above; go on with --resume {results.path}"
        raise MissingError("tune", got="no run of a step was made", todo=todo)


def again_in(place: Place[Any]) -> tuple[str, ...]:
    """Verdicts whose runs are made once more. In model time what took no effect takes none the second time either."""
    model_time = isinstance(place, Guests) and place.accelerator != "kvm"
    return ("suspect", "failed") if model_time else ("suspect", "failed", "inert")


def place_of(arguments: argparse.Namespace, results: ResultSet | None = None) -> TunePlace:
    """The place that the command line chooses; of a set that was made in guests, guests. Raises InputError."""
    in_guests = arguments.in_vm or (results is not None and "vm" in results.manifest)
    if arguments.inventory and in_guests:
        raise InputError("tune over a wire", got="guests are asked for too", todo="leave one out", where="-i")
    if in_guests:
        return TuneGuests(arguments)
    of_guests = (arguments.kernel, arguments.bzimage, arguments.modules, arguments.jobs, arguments.accel != "auto")
    if any(of_guests):
        got = "kernels, accelerators and jobs are chosen for guests"
        raise InputError("tune on this host", got=got, todo="add --in-vm")
    return TuneWire(arguments.inventory) if arguments.inventory else TuneHost(arguments.wait)
