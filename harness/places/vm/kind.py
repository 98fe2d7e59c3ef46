"""What boots of one kind have in common: the image, the machine and the QEMU; their files and command lines."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from harness.kernel import facts
from harness.places.vm import qemu, recipe
from harness.places.vm.emulator import Qemu
from harness.places.vm.home import Home
from harness.places.vm.image import Image, find_loop, loop_driver, write_initrd
from harness.places.vm.job import job_image
from harness.spec.machine import Machine

JOB_ROOM, _OUT_ROOM = 64 << 20, 16 << 30
"""Bytes of the disk that a resumed guest reads its job from: it knows the size from before there was a job."""
# A guest in another layout of what is saved is another guest.
_FORMAT = [1, JOB_ROOM, _OUT_ROOM]


@dataclass(frozen=True)
class Kind:
    """pairs: pairs of emulated NICs by model. The machine's seed and output, and the job, are of each boot."""

    home: Home
    emulator: Qemu
    image: Image
    machine: Machine
    accelerator: str
    pairs: dict[str, int]

    def files(self, workshop: Path, job: bytes) -> qemu.GuestFiles:
        """What a boot reads and writes; in model time all that it reads is in its initramfs."""
        files = qemu.GuestFiles.of(self.image, workshop, job, self.machine.output_bytes)
        driver = self._loop_driver()
        if driver is None:
            return files
        write_initrd(workshop / "initrd", self.image.initramfs, driver, files.read_only())
        return replace(files, initrd=workshop / "initrd")

    def saved_files(self, workshop: Path) -> qemu.GuestFiles:
        """The same of a guest that is to be saved, before there is a job."""
        files = self.files(workshop, job_image({}))
        return files if files.initrd else _as_saved(files)

    def resumed_files(self, workshop: Path, job: bytes) -> qemu.GuestFiles:
        """The same of a guest that was saved: its disks have the sizes that they had then."""
        files = qemu.GuestFiles.of(self.image, workshop, job, self.machine.output_bytes)
        if self._loop_driver() is not None:
            # What it started from is in its memory.
            return replace(files, initrd=self.image.initramfs)
        return _as_saved(files)

    def _loop_driver(self) -> bytes | None:
        """What a guest without disks reads its images with; None of a guest with disks."""
        sha256 = self.image.hashes.get("modules")
        if self.accelerator != "tcg-virtual" or sha256 is None:
            return None
        # None too for a kernel of the user's own that has none.
        return loop_driver(self.home.expanded(sha256, f"modules of {self.image.kernel}", find_loop))

    def command(self, files: qemu.GuestFiles, seed: int, saved: bool = False) -> list[str]:
        """QEMU's command line. saved: of a guest that is to be saved, or was. Raises PollbenchError."""
        machine = self.machine.model_copy(update={"seed": seed})
        return qemu.command(self.emulator, machine, self.accelerator, files, self.pairs, saved=saved)

    def key(self) -> str:
        """A name for all that the state of a guest depends on that waits for its job."""
        files = qemu.GuestFiles(self.image, *(Path(name) for name in ("job", "out", "console", "events")))
        parts = [*_FORMAT, self.command(files, 0, saved=True), self.image.hashes, recipe.recipe_hash()]
        parts += [self.emulator.account(), self._program()]
        if self.accelerator != "tcg-virtual":
            # Its clocks were set by this host's.
            parts.append(facts.boot_id())
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _program(self) -> list[int]:
        """What tells a QEMU that is not the provided one from another of its version."""
        path = shutil.which(self.emulator.argv[0])
        if self.emulator.sha256 or path is None:
            return []
        status = os.stat(path)
        return [status.st_size, status.st_mtime_ns]


def _as_saved(files: qemu.GuestFiles) -> qemu.GuestFiles:
    """The files with the sizes that all disks of guests that are saved have; what has no content takes no room."""
    os.truncate(files.job, JOB_ROOM)
    os.truncate(files.out, _OUT_ROOM)
    return files
