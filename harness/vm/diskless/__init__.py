"""A guest in model time has no disks: all that it reads is in memory from the start.

A disk answers in real time, and meanwhile the guest's clock runs on: no two boots would be alike. Without one, two
boots of the same files go through the same instructions at the same times, down to the ns.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from harness.vm import apt, cpio

_HERE = Path(__file__).parent
_DRIVER = "*/kernel/drivers/block/loop.ko"


def loop_driver(modules: Path, into: Path) -> None:
    """The loop driver of a kernel set, as `loop.ko` in a new directory; an empty one where it has none."""
    tree = into.with_name("unpacked")
    apt.run(["unsquashfs", "-q", "-n", "-no-xattrs", "-d", str(tree), str(modules), _DRIVER])
    into.mkdir()
    for found in tree.glob(_DRIVER):
        shutil.copyfile(found, into / "loop.ko")


def write_initrd(target: Path, initramfs: Path, driver: Path, images: Mapping[str, Path]) -> None:
    """An initramfs with these images (root, modules, payload, job) in it, and the scripts that take them from there."""
    entries = {
        "image": cpio.directory(),
        "modules": cpio.directory(),
        # After the ones that it might need.
        "modules/99-loop.ko": cpio.plain(driver.read_bytes()),
    }
    entries |= {name: cpio.executable((_HERE / name).read_bytes()) for name in ("init", "pid1")}
    entries |= {f"image/{name}": cpio.plain(path.read_bytes()) for name, path in images.items()}
    # The kernel unpacks one archive after the other: files of the second take the place of the first's.
    target.write_bytes(initramfs.read_bytes() + cpio.pack(entries))
