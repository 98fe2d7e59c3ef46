"""A guest in model time has no disks: all that it reads is in memory from the start.

A disk answers in real time, and meanwhile the guest's clock runs on: no two boots would be alike. Without one, two
boots of the same files go through the same instructions at the same times, down to the ns.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from harness.places.vm import cpio, recipe
from harness.places.vm.squashfs import unsquash

_LOOP = "kernel/drivers/block/loop.ko"


def find_loop(modules: Path, into: Path) -> None:
    """What a kernel set's modules have for images that are files: see `loop_driver`. Into a new directory."""
    names = {f"*/{_LOOP}": "loop.ko", "*/modules.builtin": "builtin"}
    tree = into.with_name("unpacked")
    unsquash(modules, tree, *names)
    into.mkdir()
    for pattern, name in names.items():
        for path in tree.glob(pattern):
            shutil.copyfile(path, into / name)


def loop_driver(directory: Path) -> bytes | None:
    """The loop driver in what find_loop() made: a module, nothing (it is built in), or None where there is none."""
    if (directory / "loop.ko").exists():
        return (directory / "loop.ko").read_bytes()
    built_in = directory / "builtin"
    return b"" if built_in.exists() and _LOOP in built_in.read_text().split() else None


def write_initrd(target: Path, initramfs: Path, driver: bytes, images: Mapping[str, Path]) -> None:
    """An initramfs with these images (root, modules, payload, job) as files in it, where its `init` finds them."""
    members = {"image": cpio.DIRECTORY, "modules": cpio.DIRECTORY}
    if driver:
        members["modules/99-loop.ko"] = cpio.plain(driver)
    members |= {f"image/{name}": cpio.plain(path.read_bytes()) for name, path in images.items()}
    # The scripts of this very version: an older kernel set's know of disks alone. The kernel unpacks one archive after
    # the other, and files of the second take the place of the first's.
    members |= {name: cpio.executable((recipe.DATA / name).read_bytes()) for name in ("init", "pid1")}
    target.write_bytes(initramfs.read_bytes() + cpio.pack(members))
