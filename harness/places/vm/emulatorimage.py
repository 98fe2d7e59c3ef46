"""The provided QEMU: the program, its libraries, loader and firmware as one squashfs that runs on any distribution."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from harness.errors import PollbenchError
from harness.places.vm import apt, recipe
from harness.places.vm.apt import Suite
from harness.places.vm.emulator import PROGRAM
from harness.places.vm.rootimage import Built, squash

_LOADER = "ld-linux-x86-64.so.2"
_LIBRARIES = Path("usr/lib/x86_64-linux-gnu")
# What a guest without display, disk controller or boot menu asks for.
_FIRMWARE = (
    "qemu/efi-e1000.rom",
    "qemu/efi-e1000e.rom",
    "qemu/efi-virtio.rom",
    "qemu/efi-vmxnet3.rom",
    "qemu/kvmvapic.bin",
    "qemu/linuxboot_dma.bin",
    "qemu/pvh.bin",
    "seabios/bios-256k.bin",
)


def build_emulator(workshop: Path) -> Built:
    """Make it in `workshop`, without privilege. Raises MissingError for a missing program, PollbenchError."""
    suite = Suite(recipe.SUITE, workshop / "apt")
    suite.update()
    unpacked, tree = workshop / "unpacked", workshop / "tree"
    packages = suite.unpack(suite.closure(recipe.EMULATOR), unpacked)
    for name in ("bin", "lib", "share"):
        (tree / name).mkdir(parents=True)
    program, libraries = unpacked / "usr/bin" / PROGRAM, unpacked / _LIBRARIES
    shutil.copy(program, tree / "bin")
    for path in [libraries / _LOADER, *_needed(program, libraries)]:
        shutil.copy(path, tree / "lib")
    for name in _FIRMWARE:
        shutil.copy(unpacked / "usr/share" / name, tree / "share")
    image = workshop / "qemu.sqfs"
    squash(tree, image)
    return Built(image, {each.name: [each.version, each.sha256] for each in packages})


def _needed(program: Path, libraries: Path) -> list[Path]:
    """Every library that the program loads, as its own loader finds them. Raises PollbenchError."""
    told = apt.run([str(libraries / _LOADER), "--library-path", str(libraries), "--list", str(program)])
    found = [Path(path) for path in re.findall(r"=> (/\S+)", told)]
    strangers = [str(path) for path in found if libraries not in path.parents]
    if strangers:
        raise PollbenchError("gather QEMU's libraries", got=f"not among its packages: {' '.join(strangers)}")
    return found
