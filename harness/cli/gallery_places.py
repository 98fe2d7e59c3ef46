"""Where `pollbench gallery` runs claim files: on this host one after the other, or in guests that they share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from harness.analysis.claims import ClaimVerdict
from harness.analysis.claims.source import before_running, in_guests
from harness.cli.carry_out import carry_out, open_set, write_tables
from harness.cli.plan import overrides_of
from harness.cli.progress import Progress
from harness.cli.terminal import need_root, say
from harness.cli.vm import machine_of, own_kernels, progress_of, resumes, say_retried
from harness.errors import InputError, Interrupted
from harness.kernel import facts
from harness.places.local import this_host
from harness.places.place import Place
from harness.places.vm.boots import expected_s, side_by_side_s
from harness.places.vm.emulator import Qemu
from harness.places.vm.execute import Guests
from harness.places.vm.home import Home
from harness.places.vm.kernels import reseeded, with_kernels
from harness.places.vm.seats import most_seats
from harness.plan import Plan, estimate_s, make_plan
from harness.signals import Stopper
from harness.spec.load import Experiment, load_experiment
from harness.store import ResultSet


@dataclass(frozen=True)
class Piece:
    """A claim file ready to be run."""

    path: Path
    experiment: Experiment
    plan: Plan


class GalleryHost:
    """This host, as root.

    output: where results go unless told; remark: what to know of the times of such a place; cpus: those that are there,
    None for those that a file declares of its guest.
    """

    output, remark = "results/gallery", ""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments, self.cpus = arguments, facts.online_cpus()

    def load(self, path: Path, quick: bool) -> Experiment:
        """The experiment as the file has it; its section `guest` is for guests only."""
        return load_experiment(path, overrides_of(self._arguments.set), quick)

    def untestable(self, piece: Piece) -> tuple[ClaimVerdict, ...]:
        """Verdicts of the claims that this host's kernel, CPU or environment rules out."""
        plan = piece.plan.to_json()
        return before_running(piece.experiment.claims, plan, facts.environment(), facts.manifest())

    def own(self, results: ResultSet, piece: Piece) -> bool:
        """Was this set made on a host, not in guests, by the very plan of this file?"""
        return "vm" not in results.manifest and results.same_plan(piece.plan)

    def run(self, pieces: Sequence[Piece], stopper: Stopper) -> bool:
        """One after the other: a new set of each, or with --resume what is missing of the newest of the same plan.

        True when somebody stopped it. Raises PollbenchError.
        """
        need_root("run the gallery")
        for number, piece in enumerate(pieces, 1):
            say(f"pollbench: {number}/{len(pieces)} {piece.path.stem}")
            with this_host(stopper, say, wait=self._arguments.wait) as place:
                results = _open_set(self._arguments, piece, self, place)
                shown = Progress(plan=piece.plan, made=results.records())
                if carry_out(place, piece.plan, results, shown) is not None:
                    return True
        return False

    def takes_s(self, pieces: Sequence[Piece]) -> float:
        """The sum of what each takes."""
        return sum(estimate_s(piece.plan) for piece in pieces)


class GalleryGuests:
    """Guests of the provided image, without root; every repetition of every file that wants one machine is one boot.

    always: tables name the kernel even where there is only one. labels: what tables call the kernels.
    """

    output, cpus = "results/gallery-vm", None
    remark = ", in guests that the files share, on an idle machine"

    def __init__(self, arguments: argparse.Namespace, always: bool = False) -> None:
        self._arguments, self._home, self._always = arguments, Home(), always
        self._kernels = own_kernels(arguments, self._home)
        self.labels = list(self._kernels)
        self._accelerator = ""
        self._emulator: Qemu | None = None
        if not (arguments.list or arguments.no_run):
            self._emulator, self._accelerator = machine_of(arguments, self._home)

    def load(self, path: Path, quick: bool) -> Experiment:
        """The file with its section for guests, under the kernels that the command names."""
        experiment = load_experiment(path, overrides_of(self._arguments.set), quick, guest=True)
        return with_kernels(experiment, self._kernels, self._always) if self._kernels else experiment

    def untestable(self, piece: Piece) -> tuple[ClaimVerdict, ...]:
        """By what the file declares of its machine."""
        plan = piece.plan.to_json()
        return before_running(piece.experiment.claims, plan, in_guests(plan), {})

    def own(self, results: ResultSet, piece: Piece) -> bool:
        """A set made in guests of any seed, under the accelerator that was asked for, and under this QEMU."""
        made_by = results.manifest.get("vm") or {}
        accelerator, asked = made_by.get("accelerator"), self._arguments.accel
        chosen = self._accelerator or (asked if asked != "auto" else accelerator)
        same = self._emulator is None or made_by.get("qemu") == self._emulator.account()
        return accelerator is not None and accelerator == chosen and same and _same_but_seeds(piece, results)

    def run(self, pieces: Sequence[Piece], stopper: Stopper) -> bool:
        """All files together, so that they share boots; with other random numbers than in any earlier set."""
        assert self._emulator is not None
        leave, saved = self._arguments.accel == "auto", resumes(self._arguments, self._accelerator)
        jobs = self._arguments.jobs
        guests = Guests(
            self._home, self._emulator, self._accelerator, stopper, may_leave_kvm=leave, snapshots=saved, jobs=jobs
        )
        seeded = self._seeded(pieces)
        for piece in seeded:
            guests.verify(piece.plan)
        parts = [(piece.plan, _open_set(self._arguments, piece, self, guests)) for piece in seeded]
        names = {run.run_id: plan.name for plan, _ in parts for run in plan.runs} if len(parts) > 1 else None
        interrupted = False
        try:
            with progress_of(guests, parts, names) as progress:
                guests.execute_all(parts, progress)
        except Interrupted:
            interrupted = True
        finally:
            write_tables(*(results for _, results in parts))
        say_retried(guests)
        self._accelerator = guests.accelerator
        return interrupted

    def _seeded(self, pieces: Sequence[Piece]) -> list[Piece]:
        """The pieces with new seeds: in model time a rerun with the same seed gives the same figures again."""
        output = Path(self._arguments.output)
        earlier = [sets_of(output, piece, self) for piece in pieces]
        if self._arguments.resume:
            pairs = zip(pieces, earlier, strict=True)
            return [_as_in(piece, sets[-1]) if sets else piece for piece, sets in pairs]
        used = [_seeds_apart(piece, results) for piece, sets in zip(pieces, earlier, strict=True) for results in sets]
        return [_reseeded(piece, max(used, default=-1) + 1) for piece in pieces]

    def takes_s(self, pieces: Sequence[Piece]) -> float:
        """Boots, runs, and traffic; several times as long where other programs want the CPUs."""
        runs = [run for piece in pieces for run in piece.plan.runs]
        accelerator = self._accelerator or "tcg-virtual"
        expected = expected_s(runs, accelerator, resumes(self._arguments, accelerator))
        return side_by_side_s(runs, expected, most_seats(self._arguments.jobs, accelerator))


GalleryPlace: TypeAlias = GalleryHost | GalleryGuests


def sets_of(output: Path, piece: Piece, place: GalleryPlace) -> list[ResultSet]:
    """The sets of a file's plan that were made in such a place, oldest first."""
    sets = (ResultSet.open(path.parent) for path in sorted((output / piece.plan.name).glob("*/plan.json")))
    return [results for results in sets if place.own(results, piece)]


def _same_but_seeds(piece: Piece, results: ResultSet) -> bool:
    try:
        return results.same_plan(_as_in(piece, results).plan)
    except InputError:
        return False  # its plan cannot be read, or is of another version


def _as_in(piece: Piece, results: ResultSet) -> Piece:
    """The file as it would have been run with the seeds of that set."""
    return _reseeded(piece, _seeds_apart(piece, results))


def _seeds_apart(piece: Piece, results: ResultSet) -> int:
    theirs = Plan.from_json(results.plan, str(results.path / "plan.json"))
    return theirs.cells[0].spec.machine.seed - piece.plan.cells[0].spec.machine.seed


def _reseeded(piece: Piece, by: int) -> Piece:
    experiment = reseeded(piece.experiment, by)
    return replace(piece, experiment=experiment, plan=make_plan(experiment))


def place_of(arguments: argparse.Namespace) -> GalleryPlace:
    """The place that the command line chooses. Raises MissingError, InputError."""
    if arguments.in_vm:
        return GalleryGuests(arguments)
    of_guests = (arguments.kernel, arguments.bzimage, arguments.modules, arguments.jobs, arguments.accel != "auto")
    if any(of_guests):
        got = "kernels, accelerators and jobs are chosen for guests"
        raise InputError("run the gallery on this host", got=got, todo="add --in-vm")
    return GalleryHost(arguments)


def _open_set(arguments: argparse.Namespace, piece: Piece, own: GalleryPlace, place: Place[Any]) -> ResultSet:
    """The set of one file: gone on with only where the newest set is of this plan and place."""
    newest = ResultSet.latest(arguments.output, piece.plan.name) if arguments.resume else None
    resume = newest is not None and newest.same_plan(piece.plan) and own.own(newest, piece)
    return open_set(place, piece.plan, piece.experiment.data, arguments, resume=resume)
