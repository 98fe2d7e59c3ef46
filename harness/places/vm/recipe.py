"""What the image is made of: packages, suites, kernels, modules, and the lock that pins them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

from harness.places.vm.apt import Packages

DATA = Path(__file__).parent / "data"
LOCK = DATA / "image-lock.json"
SUITE = "trixie"
EPOCH = 1760000000
"""Every time stamp in the image, in seconds since 1970: a build does not show when it was made."""
KEEP = "/usr/share/doc/*/copyright"
"""What of the bulk to leave out (data/leave-out.txt) stays, as a pattern of dpkg's path-include."""
EMULATOR = "qemu-system-x86"
"""The package of the provided QEMU; model time is the same wherever it is the same."""
# The kernels by the name a user types, and the suite each comes from.
KERNELS = {"6.1": "bookworm", "6.12": "trixie", "7.3": "trixie-backports"}
DEFAULT_KERNEL = "6.12"
# What the initramfs needs to reach the root; found among modules or built in.
BOOT_MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "squashfs", "overlay")


class PinnedKernel(TypedDict):
    """A kernel's release, as `uname -r` tells it, and the packages of its set."""

    release: str
    packages: Packages


@dataclass(frozen=True)
class Lock:
    """What is pinned. artefacts: SHA-256 by the name of the artefact, as "root" or "kernel 6.12 modules"."""

    root: Packages
    qemu: Packages
    kernels: dict[str, PinnedKernel]
    artefacts: dict[str, str]


def read_lock() -> Lock:
    """The lock that ships with pollbench."""
    return Lock(**json.loads(LOCK.read_text()))


def write_lock(lock: Lock) -> None:
    """Pin what was just built."""
    LOCK.write_text(json.dumps(asdict(lock), indent=1, sort_keys=True) + "\n")


def words(name: str) -> list[str]:
    """The names and patterns in data/NAME.txt, in its order."""
    lines = (line.partition("#")[0] for line in (DATA / f"{name}.txt").read_text().splitlines())
    return [word for line in lines for word in line.split()]


def recipe_hash() -> str:
    """One name for everything that decides the image: this recipe, its scripts and its lock."""
    total = hashlib.sha256()
    here = Path(__file__).parent
    code = [
        *here.glob("?*image.py"),  # what makes an artefact, not image.py, which reads them
        *(here / f"{name}.py" for name in ("apt", "compression", "cpio", "modules", "programs", "recipe", "squashfs")),
    ]
    sources = [*sorted(code), *sorted(DATA.iterdir())]
    for path in sources:
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def differences(pinned: Packages, built: Packages) -> list[str]:
    """In words, every package that is not as the lock pins it."""
    return [
        _difference(name, pinned.get(name), built.get(name))
        for name in sorted(pinned.keys() | built.keys())
        if pinned.get(name) != built.get(name)
    ]


def _difference(name: str, before: list[str] | None, after: list[str] | None) -> str:
    if before is None or after is None:
        return f"{name} {(before or after or ['?'])[0]} is {'new' if before is None else 'missing'}"
    if before[0] != after[0]:
        return f"{name} is {after[0]}, pinned is {before[0]}"
    return f"{name} {after[0]} has SHA-256 {after[1][:12]}..., pinned is {before[1][:12]}..."
