"""One boot of a guest: start QEMU, follow its events, take each run's answer as it comes, and say why it ended."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import PollbenchError
from harness.places.carried import FILES, pack, relocated
from harness.places.vm import console, wire
from harness.places.vm.emulator import Qemu
from harness.places.vm.home import Home, disk_bytes
from harness.places.vm.image import Image
from harness.places.vm.job import job_image
from harness.places.vm.kind import Kind
from harness.places.vm.launch import BOOT_S, launched, patient_s
from harness.places.vm.qemu import GuestFiles
from harness.places.vm.resume import NotResumed, Resumer
from harness.places.vm.seats import Seat
from harness.plan import Plan, Run
from harness.run.process import ChildProcess
from harness.signals import Stopper
from harness.spec.machine import Machine

Event = dict[str, Any]
_LOOK_S = 0.05
_MAX_LINE, _MAX_SAID, _LEAST_ROOM = 1 << 20, 64 << 20, 1 << 20
# By so much may what a file takes of the disk be more than what is in it.
_BLOCKS = 1 << 20
# Real seconds for a run beyond what its own time takes, under each accelerator.
_SLOWER = {"kvm": 3.0, "tcg-virtual": 60.0, "tcg-smoke": 20.0}
_SLACK_S = 120.0
# Of the kernel as it runs or starts, of Python, of the C library.
_OUT_OF_MEMORY = re.compile("Out of memory|deadlocked on memory|MemoryError|Cannot allocate memory")


class GuestFailure(PollbenchError):  # noqa: N818  # of the guest, not of ours
    """The guest, not the run, came to grief: infrastructure, to be tried once more. kind: oops, hang, killed, ..."""

    def __init__(self, kind: str, got: str, todo: str = "") -> None:
        super().__init__("run a guest", got=f"{kind}: {got}", todo=todo)


@dataclass
class Boot:
    """What one boot needs. pairs: pairs of emulated NICs by model; runs: what it is to make, in order.

    resumer: resumes a snapshot where it can, in place of a boot; seat: where on the host it runs; traced: its runs are
    to be traced. Of what was done:
    `started` is "snapshot" or "boot", `not_resumed` why not, where a snapshot was wanted.
    """

    home: Home
    emulator: Qemu
    image: Image
    machine: Machine
    accelerator: str
    plan: Plan
    runs: tuple[Run, ...]
    pairs: dict[str, int]
    stopper: Stopper
    resumer: Resumer | None = None
    seat: Seat = field(default_factory=Seat)
    traced: bool = False
    events: list[Event] = field(default_factory=list)
    argv: list[str] = field(default_factory=list)
    console: str = ""
    started: str = "boot"
    not_resumed: str = ""

    def answers(self, tell: Callable[[Event], None]) -> Iterator[wire.Answer]:
        """Start it, and give each answer as soon as the guest has sent it; every event goes to `tell`.

        Ends when all runs are answered. Raises GuestFailure, MissingError, Interrupted; QEMU is gone either way.
        """
        with self.home.workshop() as workshop, self._guest(workshop) as (child, files):
            try:
                yield from self._follow(child, files, tell)
            except GuestFailure as failure:
                if self.resumer and self.started == "snapshot" and not any(map(_is_ready, self.events)):
                    self.resumer.give_up(self._kind(), failure.got)
                raise
            finally:
                self.console = console.tail(files.console)

    def _kind(self) -> Kind:
        return Kind(self.home, self.emulator, self.image, self.machine, self.accelerator, self.pairs)

    @contextlib.contextmanager
    def _guest(self, workshop: Path) -> Iterator[tuple[ChildProcess, GuestFiles]]:
        """QEMU with the guest and its files: resumed where that can be, else booted."""
        # Each repetition has random numbers of its own: boots of one machine are else all the same.
        kind, seed = self._kind(), seed_of(self.machine.seed, self.runs[0].block)
        job = self._job(seed)
        with contextlib.ExitStack() as stack:
            if self.resumer is not None:
                try:
                    resumed = stack.enter_context(self.resumer.resumed(kind, workshop, job, seed, self.seat))
                except NotResumed as error:
                    self.not_resumed = error.got
                else:
                    self.started, self.argv = "snapshot", resumed.argv
                    yield resumed.child, resumed.files
                    return
            files = kind.files(workshop, job)
            self.argv = kind.command(files, seed)
            yield stack.enter_context(launched(self.argv, self.accelerator, self.seat, self.stopper)), files

    def _job(self, seed: int) -> bytes:
        document: dict[str, Any] = {
            "plan": replace(self.plan.of_runs(self.runs), document={}, adaptive=None).to_json(),
            "nics": self.pairs,
            "accelerator": self.accelerator,
            "output_bytes": self.machine.output_bytes,
            "seed": seed,
            "traced": self.traced,
            "polls": self.plan.traces_polls(),
        }
        carried = pack(self.plan)
        if carried:
            # Where the guest will put them is known, so that the plan says so.
            moved = {home: f"{FILES}/{number}" for number, home in enumerate(sorted(carried))}
            document |= {"carried": carried, "plan": relocated(document["plan"], moved)}
        return job_image(document)

    def _follow(self, child: ChildProcess, files: GuestFiles, tell: Callable[[Event], None]) -> Iterator[wire.Answer]:
        by_id = {run.run_id: run for run in self.runs}
        left = set(by_id)
        deadline = patient_s(child) + BOOT_S[self.accelerator]
        waiting, place = "the guest to come up", 0
        while True:
            ended = child.ended() is not None
            events, place = more_events(files.events, place)
            for event in events:
                self.events.append(event)
                kind, run = event.get("ev"), by_id.get(str(event.get("run_id")))
                if kind == "full":
                    raise self._full(event)
                if kind == "begin" and run is not None:
                    deadline = patient_s(child) + self._patience_s(run)
                    waiting = f"the run {run.cell.label()}"
                elif kind in ("up", "resumed", "ready"):
                    deadline = patient_s(child) + BOOT_S[self.accelerator]
                    waiting = "the agent to start"
                tell(event)
                if kind == "run" and run is not None and run.run_id in left:
                    left.discard(run.run_id)
                    yield self._answer(event, files.out)
                    deadline = patient_s(child) + BOOT_S[self.accelerator]
                    waiting = "the next run" if left else "the guest to end"
            if not left:
                return
            _need_room(files.out.parent)
            if ended:
                raise self._death(child, files)
            if patient_s(child) > deadline:
                raise GuestFailure("hang", f"waited in vain for {waiting}; {console.last(files.console)}")
            if files.console.stat().st_size > _MAX_SAID or files.events.stat().st_size > _MAX_SAID:
                raise GuestFailure("flood", f"the guest wrote more than {_MAX_SAID >> 20} MiB on its console")
            if disk_bytes(files.out) > self.machine.output_bytes + _BLOCKS:
                raise GuestFailure("flood", "the guest wrote more than vm.output")
            self.stopper.pause(_LOOK_S)

    def _patience_s(self, run: Run) -> float:
        return _SLACK_S + _SLOWER[self.accelerator] * (run.cell.spec.workload.takes_ns() / 1e9 + 1)

    def _answer(self, event: Event, out: Path) -> wire.Answer:
        """One answer off the output disk, its place and hash as the guest told them. Raises GuestFailure."""
        try:
            offset, size = int(event["offset"]), int(event["size"])
            if not 0 <= offset <= offset + size <= min(self.machine.output_bytes, wire.MAX_BYTES):
                raise ValueError("outside of the disk")
            with open(out, "rb") as file:
                file.seek(offset)
                data = file.read(size)
            if hashlib.sha256(data).hexdigest() != event["sha256"]:
                raise ValueError("its SHA-256 differs")
            answer = wire.unpack(data)
            if answer.run_id != event["run_id"]:
                raise ValueError("it is of another run")
        except (KeyError, TypeError, ValueError, OSError, PollbenchError) as error:
            raise GuestFailure("damaged answer", str(error)) from None
        return answer

    def _full(self, event: Event) -> PollbenchError:
        mib = -(-int(event.get("needs", 0)) // (1 << 20))
        todo = f"set vm.output to {max(mib * 2, 64)}MB or more"
        return PollbenchError("keep a run of the guest", "the output disk", "no space left on it", todo)

    def _death(self, child: ChildProcess, files: GuestFiles) -> GuestFailure:
        """Why the guest ended before its work was done."""
        last = console.last(files.console)
        code = child.ended()
        if _OUT_OF_MEMORY.search(last):
            todo = f"give it more than {self.machine.memory_bytes >> 20}MiB by vm.memory"
            return GuestFailure("out of memory", last, todo)
        for event in self.events:
            if event.get("ev") == "exit":
                return GuestFailure("agent failed", f"the agent ended with exit code {event.get('code')}; {last}")
        if code:
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            return GuestFailure("killed" if code < 0 else "QEMU failed", f"QEMU ended {how}; {child.last_words()}")
        # Said by the initramfs.
        diskless = "no disk named" in last
        todo = "is virtio_blk built in? Else name its modules by --modules" if diskless else ""
        return GuestFailure("oops" if "panic" in last or "Oops" in last else "early end", last, todo)


def seed_of(seed: int, block: int) -> int:
    """The seed of a boot: of the machine's, one for each repetition (from 1), within 32 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{block}".encode()).digest()[:4])


def _need_room(directory: Path) -> None:
    """PollbenchError when there is none left where the guest writes: what it says would be lost, and waited for."""
    disk = os.statvfs(directory)
    free = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail
    if free * disk.f_frsize < _LEAST_ROOM:
        todo = "free some, or name another place by XDG_CACHE_HOME"
        raise PollbenchError("run a guest", str(directory.parent), "no space left on the disk", todo)


def more_events(path: Path, place: int) -> tuple[list[Event], int]:
    """(the JSON lines that a file has from there on, what is no event of ours passed over; where to go on)."""
    with open(path, "rb") as file:
        file.seek(place)
        data = file.read(_MAX_LINE)
    whole = data.rfind(b"\n") + 1 or (len(data) if len(data) == _MAX_LINE else 0)
    events = []
    for line in data[:whole].split(b"\n"):
        with contextlib.suppress(ValueError, RecursionError):
            if isinstance(event := json.loads(line), dict):
                events.append(event)
    return events, place + whole


def _is_ready(event: Event) -> bool:
    return event.get("ev") == "ready"
