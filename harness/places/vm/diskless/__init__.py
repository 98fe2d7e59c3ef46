"""A guest in model time has no disks: all that it reads is in memory from the start.

A disk answers in real time, and meanwhile the guest's clock runs on: no two boots would be alike. Without one, two
boots of the same files go through the same instructions at the same times, down to the ns.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from harness.places.vm import apt, cpio

_HERE = Path(__file__).parent
_LOOP = "kernel/drivers/block/loop.ko"


def find_loop(modules: Path, into: Path) -> None:
    """What a kernel set's modules have for images that are files: see `loop_driver`. Into a new directory."""
    wanted = (f"*/{_LOOP}", "*/modules.builtin")
    tree = into.with_name("unpacked")
    apt.run(["unsquashfs", "-q", "-n", "-no-xattrs", "-d", str(tree), str(modules), *wanted])
    into.mkdir()
    for found in tree.glob(wanted[0]):
        shutil.copyfile(found, into / "loop.ko")
    for found in tree.glob(wanted[1]):
        shutil.copyfile(found, into / "builtin")


def loop_driver(found: Path) -> bytes | None:
    """The loop driver in what find_loop() made: a module, nothing (it is built in), or None where there is none."""
    if (found / "loop.ko").exists():
        return (found / "loop.ko").read_bytes()
    built_in = found / "builtin"
    return b"" if built_in.exists() and _LOOP in built_in.read_text().split() else None


def write_initrd(target: Path, initramfs: Path, driver: bytes, images: Mapping[str, Path]) -> None:
    """An initramfs with these images (root, modules, payload, job) in it, and the scripts that take them from there."""
    entries = {"image": cpio.directory(), "modules": cpio.directory()}
    if driver:
        entries["modules/99-loop.ko"] = cpio.plain(driver)
    entries |= {name: cpio.executable((_HERE / name).read_bytes()) for name in ("init", "pid1")}
    entries |= {f"image/{name}": cpio.plain(path.read_bytes()) for name, path in images.items()}
    # The kernel unpacks one archive after the other: files of the second take the place of the first's.
    target.write_bytes(initramfs.read_bytes() + cpio.pack(entries))
