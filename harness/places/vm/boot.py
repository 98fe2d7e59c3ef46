"""One boot of a guest: start QEMU, follow its events, take each run's answer as it comes, and say why it ended."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import loadgen
from harness.errors import PollbenchError
from harness.kernel.journal import open_journal
from harness.kernel.proc import cpu_ticks, start_ticks, waited_s
from harness.places.vm import qemu, wire
from harness.places.vm.emulator import Qemu
from harness.places.vm.guest import job_image
from harness.places.vm.home import Home
from harness.places.vm.image import Image, find_loop, loop_driver, write_initrd
from harness.plan import Plan, Run
from harness.run.process import ChildProcess, launch_options
from harness.signals import Stopper
from harness.spec.machine import Machine

Event = dict[str, Any]
_LOOK_S, _IDLE_S = 0.05, 0.2
_MAX_LINE, _MAX_SAID, _LEAST_ROOM = 1 << 20, 64 << 20, 1 << 20
# Real seconds: until a guest is up, and for a run beyond what its own time takes under each accelerator.
BOOT_S = {"kvm": 20.0, "tcg-virtual": 240.0, "tcg-smoke": 120.0}
_SLOWER = {"kvm": 3.0, "tcg-virtual": 60.0, "tcg-smoke": 20.0}
_SLACK_S = 120.0
_TROUBLE = re.compile(
    r"(Kernel panic[^\n]*|Oops[^\n]*|BUG:[^\n]*|general protection fault[^\n]*|Out of memory[^\n]*|pollbench: [^\n]*"
    # The agent's own end, where it is none of the kernel's: the last line of a traceback.
    r"|^[\w.]+(?:Error|Exception)(?:: [^\n]*)?\r?$)",
    re.MULTILINE,
)
# Of the kernel as it runs or starts, of Python, of the C library.
_OUT_OF_MEMORY = re.compile("Out of memory|deadlocked on memory|MemoryError|Cannot allocate memory")


class GuestFailure(PollbenchError):  # noqa: N818  # of the guest, not of ours
    """The guest, not the run, came to grief: infrastructure, to be tried once more. kind: oops, hang, killed, ..."""

    def __init__(self, kind: str, got: str, todo: str = "") -> None:
        super().__init__("run a guest", got=f"{kind}: {got}", todo=todo)


@dataclass
class Boot:
    """What one boot needs. pairs: pairs of emulated NICs by model; runs: what it is to make, in order."""

    home: Home
    emulator: Qemu
    image: Image
    machine: Machine
    accelerator: str
    plan: Plan
    runs: tuple[Run, ...]
    pairs: dict[str, int]
    stopper: Stopper
    events: list[Event] = field(default_factory=list)
    argv: list[str] = field(default_factory=list)
    console: str = ""

    def answers(self, tell: Callable[[Event], None]) -> Iterator[wire.Answer]:
        """Boot, and give each answer as soon as the guest has sent it; every event goes to `tell`.

        Ends when all runs are answered. Raises GuestFailure, MissingError, Interrupted; QEMU is gone either way.
        """
        with self.home.workshop() as workshop:
            files = self._files(workshop)
            # Each repetition has random numbers of its own: boots of one machine are else all the same.
            machine = self.machine.model_copy(update={"seed": seed_of(self.machine.seed, self.runs[0].block)})
            self.argv = qemu.command(self.emulator, machine, self.accelerator, files, self.pairs)
            with self._start() as child:
                try:
                    yield from self._follow(child, files, tell)
                finally:
                    self.console = _tail(files.console)

    def _files(self, workshop: Path) -> qemu.GuestFiles:
        """What this boot reads and writes; in model time all that it reads is in its initramfs."""
        document = {
            "plan": replace(self.plan.of_runs(self.runs), document={}, adaptive=None).to_json(),
            "nics": self.pairs,
            "accelerator": self.accelerator,
            "output_bytes": self.machine.output_bytes,
        }
        files = qemu.GuestFiles.of(self.image, workshop, job_image(document), self.machine.output_bytes)
        image, sha256 = self.image, self.image.hashes.get("modules")
        if self.accelerator != "tcg-virtual" or sha256 is None:
            return files
        tree = self.home.expanded(sha256, f"modules of {image.kernel}", find_loop)
        driver = loop_driver(tree)
        if driver is None:
            return files  # a kernel of the user's own
        write_initrd(workshop / "initrd", image.initramfs, driver, files.read_only())
        return replace(files, initrd=workshop / "initrd")

    @contextlib.contextmanager
    def _start(self) -> Iterator[ChildProcess]:
        # The launcher asks the kernel to kill QEMU when we die, however we die.
        place = {"cpus": [_idlest_cpu()]} if self.accelerator == "tcg-virtual" else {}
        argv = [str(loadgen.path()), *launch_options(None, place), "exec", "--", *self.argv]
        with contextlib.ExitStack() as stack:
            # What root starts is noted besides, for `pollbench clean`.
            journal = stack.enter_context(open_journal()) if os.geteuid() == 0 else None
            child = stack.enter_context(ChildProcess("guest", argv, self.stopper, stdin=None))
            if journal is not None:
                journal.note("process", pid=child.pid, start_ticks=start_ticks(child.pid))
            yield child

    def _follow(
        self, child: ChildProcess, files: qemu.GuestFiles, tell: Callable[[Event], None]
    ) -> Iterator[wire.Answer]:
        by_id = {run.run_id: run for run in self.runs}
        left = set(by_id)
        deadline = _patient_s(child) + BOOT_S[self.accelerator]
        waiting, place = "the guest to come up", 0
        while True:
            ended = child.ended() is not None
            events, place = _more(files.events, place)
            for event in events:
                self.events.append(event)
                kind, run = event.get("ev"), by_id.get(str(event.get("run_id")))
                if kind == "full":
                    raise self._full(event)
                if kind == "begin" and run is not None:
                    deadline = _patient_s(child) + self._patience_s(run)
                    waiting = f"the run {run.cell.label()}"
                elif kind in ("up", "ready"):
                    deadline = _patient_s(child) + BOOT_S[self.accelerator]
                    waiting = "the agent to start"
                tell(event)
                if kind == "run" and run is not None and run.run_id in left:
                    left.discard(run.run_id)
                    yield self._answer(event, files.out)
                    deadline = _patient_s(child) + BOOT_S[self.accelerator]
                    waiting = "the next run" if left else "the guest to end"
            if not left:
                return
            _need_room(files.out.parent)
            if ended:
                raise self._death(child, files)
            if _patient_s(child) > deadline:
                raise GuestFailure("hang", f"waited in vain for {waiting}; {self._last(files)}")
            if files.console.stat().st_size > _MAX_SAID or files.events.stat().st_size > _MAX_SAID:
                raise GuestFailure("flood", f"the guest wrote more than {_MAX_SAID >> 20} MiB on its console")
            if files.out.stat().st_size > self.machine.output_bytes:
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

    def _death(self, child: ChildProcess, files: qemu.GuestFiles) -> GuestFailure:
        """Why the guest ended before its work was done."""
        last = self._last(files)
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

    def _last(self, files: qemu.GuestFiles) -> str:
        text = _tail(files.console)
        troubles = _TROUBLE.findall(text)
        if troubles:
            return f"the console says: {wire.printable(troubles[0].strip())[:300]}"
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return f"the console's last line: {wire.printable(lines[-1])[:200]}" if lines else "the console is empty"


def seed_of(seed: int, block: int) -> int:
    """The seed of a boot: of the machine's, one for each repetition (from 1), within 32 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{block}".encode()).digest()[:4])


def _patient_s(child: ChildProcess) -> float:
    """A clock that stands while QEMU waits for a processor: on a saturated host a guest is slow, and does not hang."""
    return time.monotonic() - waited_s(child.pid)


def _need_room(directory: Path) -> None:
    """PollbenchError when there is none left where the guest writes: what it says would be lost, and waited for."""
    disk = os.statvfs(directory)
    free = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail
    if free * disk.f_frsize < _LEAST_ROOM:
        todo = "free some, or name another place by XDG_CACHE_HOME"
        raise PollbenchError("run a guest", str(directory.parent), "no space left on the disk", todo)


def _more(path: Path, place: int) -> tuple[list[Event], int]:
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


def _idlest_cpu() -> int:
    """Of the CPUs that this process may use, the one that was idle most while we looked; any of several alike.

    A guest whose time is counted has a single one, so that no two threads of QEMU run at once: each timer of the guest
    wakes QEMU's main loop too, and on a CPU of its own that now and then gets in between the turns of the virtual CPUs;
    what follows is another chance. On one CPU it does so only where the scheduler changes over amid one.
    """
    allowed, before = os.sched_getaffinity(0), cpu_ticks()
    time.sleep(_IDLE_S)
    after = cpu_ticks()
    idle = {cpu: after[cpu]["idle"] - before[cpu]["idle"] for cpu in allowed & before.keys() & after.keys()}
    return max(allowed, key=lambda cpu: (idle.get(cpu, 0), random.random()))


def _tail(path: Path) -> str:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 65536))
        return file.read().decode(errors="replace")
    return ""
