"""Resumes a guest from a snapshot in place of a boot: one that has started and waits for its job, saved by QEMU."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import Interrupted, PollbenchError
from harness.places.vm import console, qemu
from harness.places.vm.home import Home
from harness.places.vm.kind import JOB_ROOM, Kind
from harness.places.vm.launch import BOOT_S, launched
from harness.places.vm.monitor import Monitor, MonitorError
from harness.places.vm.seats import Seat
from harness.places.vm.snapshots import Damaged, Held, Snapshots
from harness.run.process import ChildProcess
from harness.signals import Stopper

# Its migration writes a page to its own place in a file, so that the file is no larger than the guest.
_SINCE = (9, 0)
_SAVE_S, _LOAD_S, _LOOK_S = 120.0, 60.0, 0.1
_AHEAD, _AHEAD_S = 1.05, 1.0
_CAPABILITIES = [{"capability": "mapped-ram", "state": True}]
# After a migration QEMU would announce the guest's addresses, in real time: frames that nobody declared.
_SILENT = {"announce-rounds": 0}


class NotResumed(PollbenchError):  # noqa: N818  # a boot follows
    """Why a guest is booted, and not resumed."""

    def __init__(self, got: str) -> None:
        super().__init__("resume a guest", got=got)


@dataclass
class Resumer:
    """Makes, keeps and resumes snapshots. hopeless: why a kind of guest has none, by its key; it is tried once."""

    home: Home
    stopper: Stopper
    hopeless: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def resumed(self, kind: Kind, workshop: Path, job: bytes, seed: int, seat: Seat) -> Iterator[Resumed]:
        """A guest that goes on with this job on this seat, for the block. Raises NotResumed, Interrupted."""
        if reason := _lack(kind, job) or self.hopeless.get(kind.key(), ""):
            raise NotResumed(reason)
        with contextlib.ExitStack() as stack:
            try:
                try:
                    resumed = self._once(stack, kind, workshop, job, seed, seat)
                except Damaged:
                    resumed = self._once(stack, kind, workshop, job, seed, seat)
            except Interrupted:
                raise
            except (PollbenchError, OSError) as error:
                self.give_up(kind, str(error))
                raise NotResumed(str(error)) from None
            yield resumed

    def give_up(self, kind: Kind, reason: str) -> None:
        """Boot guests of this kind from now on, and forget their snapshot."""
        self.hopeless[kind.key()] = reason
        with contextlib.suppress(OSError, PollbenchError):
            self._snapshots().drop(kind.key())

    def _once(
        self, stack: contextlib.ExitStack, kind: Kind, workshop: Path, job: bytes, seed: int, seat: Seat
    ) -> Resumed:
        """The same, for as long as the stack lasts. Raises Damaged (the snapshot is gone), MonitorError, OSError."""
        with self._snapshots().held(kind.key(), lambda path: self._make(kind, path, seat)) as held:
            return stack.enter_context(self._load(kind, workshop, job, seed, seat, held))

    def _snapshots(self) -> Snapshots:
        return Snapshots(self.home, lambda: self.stopper.pause(_LOOK_S))

    def _make(self, kind: Kind, path: Path, seat: Seat) -> None:
        """Boot a guest until it waits for its job, and save it. Raises MonitorError, OSError."""
        with self.home.workshop() as workshop, Monitor(self.stopper) as monitor:
            files = kind.saved_files(workshop)
            argv = [*kind.command(files, 0, saved=True), *monitor.options]
            began = time.monotonic()
            with launched(argv, kind.accelerator, seat, self.stopper, (monitor.fd,)) as child:
                monitor.attach(child)
                try:
                    # Twice: until it is up, and until the agent has loaded what it needs.
                    monitor.await_event("STOP", 2 * BOOT_S[kind.accelerator])
                except MonitorError as error:
                    raise MonitorError("a guest that starts", f"{error.got}; {console.last(files.console)}") from None
                if kind.accelerator == "tcg-smoke" and (ahead := clock_ahead(files.events, time.monotonic() - began)):
                    raise MonitorError("a guest that starts", ahead)
                monitor.ask("migrate-set-capabilities", capabilities=_CAPABILITIES)
                monitor.ask("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
                monitor.ask("migrate", uri=f"file:{path}")
                _end_of_migration(monitor, _SAVE_S)

    @contextlib.contextmanager
    def _load(self, kind: Kind, workshop: Path, job: bytes, seed: int, seat: Seat, held: Held) -> Iterator[Resumed]:
        """QEMU reads the snapshot while its hash is computed; no instruction is executed before that is right."""
        with Monitor(self.stopper) as monitor:
            files = kind.resumed_files(workshop, job)
            argv = [*kind.command(files, seed, saved=True), "-incoming", "defer", *monitor.options]
            with launched(argv, kind.accelerator, seat, self.stopper, (monitor.fd,)) as child:
                try:
                    monitor.attach(child)
                    monitor.ask("migrate-set-capabilities", capabilities=_CAPABILITIES)
                    monitor.ask("migrate-set-parameters", **_SILENT)
                    monitor.ask("migrate-incoming", uri=f"file:{held.state}")
                    _end_of_migration(monitor, _LOAD_S)
                except MonitorError:
                    held.confirm()
                    raise
                held.confirm()
                # From now on a panic is the guest's own, and its end.
                monitor.ask("set-action", panic="none")
                monitor.ask("cont")
                yield Resumed(child, files, argv)


@dataclass(frozen=True)
class Resumed:
    """A guest that goes on: its QEMU, its files and the command line."""

    child: ChildProcess
    files: qemu.GuestFiles
    argv: list[str]


def _lack(kind: Kind, job: bytes) -> str:
    """Why there is no snapshot of such a guest; empty when there can be one."""
    if kind.accelerator == "kvm":
        return "guests under kvm are booted: that takes seconds"
    if kind.emulator.number < _SINCE:
        return f"QEMU {kind.emulator.version} cannot save a guest so: that came with QEMU {_SINCE[0]}.{_SINCE[1]}"
    if len(job) > JOB_ROOM:
        return f"its job of {len(job) >> 20} MiB has no room on the disk of a saved guest ({JOB_ROOM >> 20} MiB)"
    return ""


def clock_ahead(events: Path, passed_s: float) -> str:
    """Why a guest that has told these events and waits is not to be saved; empty where its clock may be right.

    It sets its clock by counting while a timer runs. On a saturated host the two get out of step, and each guest that
    goes on from there would have a clock that runs several times too fast: it cannot have been up for longer than its
    QEMU (passed_s).
    """
    for line in events.read_bytes().splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            event = json.loads(line)
            if event["ev"] == "waits" and event["uptime_s"] > _AHEAD * passed_s + _AHEAD_S:
                uptime = f"{event['uptime_s']:.0f} s after {passed_s:.0f} s"
                return f"its clock says {uptime}: this host was too busy when the guest set it"
    return ""


def _end_of_migration(monitor: Monitor, limit_s: float) -> None:
    if monitor.await_status("query-migrate", limit_s, ("completed", "failed", "cancelled")) != "completed":
        raise MonitorError("migrate", str(monitor.ask("query-migrate").get("error-desc", "it failed")))
