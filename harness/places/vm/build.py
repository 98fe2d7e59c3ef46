"""Builds images: the root, kernel sets, QEMU, and the index that says what is what."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import InputError, PollbenchError
from harness.places.vm import kernelimage, recipe
from harness.places.vm.emulatorimage import build_emulator
from harness.places.vm.home import Home, sha256_of
from harness.places.vm.rootimage import Built, build_root

Tell = Callable[[str], None]
FORMAT = 1


@dataclass(frozen=True)
class Made:
    """An artefact just made. differs: in words, where its packages are not those of the lock."""

    name: str
    sha256: str
    size_bytes: int
    seconds: float
    differs: tuple[str, ...]
    packages: dict[str, list[str]]


def build(
    home: Home, kernels: Sequence[str], tell: Tell, root: bool = True, emulator: bool = True
) -> list[Made]:
    """Make the root image, the named kernel sets and QEMU, and enter them in the index. Raises PollbenchError."""
    lock, made = recipe.read_lock(), []
    for name in kernels:
        if name not in recipe.KERNELS:
            todo = f"expected {', '.join(recipe.KERNELS)}; or your own by --bzimage"
            raise InputError("build a kernel set", on=name, got="the recipe has no such kernel", todo=todo)
    if root:
        tell(
            f"root: installing {len(recipe.PACKAGES)} packages and what they need from {recipe.SUITE}: about 45 s"
        )
        made.append(_make_one(home, "root", build_root, lock.root))
    if emulator:
        tell(f"qemu: fetching {recipe.EMULATOR} and its libraries from {recipe.SUITE}: about 15 s")
        made.append(_make_one(home, "qemu", build_emulator, lock.qemu))
    for name in kernels:
        made += _make_kernel(home, name, lock, tell)
    return made


def _make_one(home: Home, key: str, make: Callable[[Path], Built], pinned: dict[str, list[str]]) -> Made:
    """What is one artefact: the root, or QEMU."""
    begun = time.monotonic()
    with home.workshop() as workshop:
        built = make(workshop)
        sha256 = home.keep(built.path)
    differs = tuple(recipe.differences(pinned, built.packages))
    entry = {"format": FORMAT, "sha256": sha256, "recipe": recipe.recipe_hash(), "packages": built.packages}
    home.record(key, entry | {"differs": list(differs)})
    size, seconds = home.artefact(sha256).stat().st_size, time.monotonic() - begun
    return Made(key, sha256, size, seconds, differs, built.packages)


def _make_kernel(home: Home, name: str, lock: recipe.Lock, tell: Tell) -> list[Made]:
    tell(f"kernel {name}: fetching it from {recipe.KERNELS[name]}: about 20 s")
    begun = time.monotonic()
    with home.workshop() as workshop:
        files = kernelimage.build_kernel(name, workshop)
        hashes = _keep_kernel(home, name, files)
    differs = tuple(recipe.differences(lock.kernels.get(name, {}).get("packages", {}), files.packages))
    seconds = time.monotonic() - begun
    return [
        Made(
            f"kernel {name} {part}",
            sha256,
            home.artefact(sha256).stat().st_size,
            seconds,
            differs,
            files.packages,
        )
        for part, sha256 in hashes.items()
    ]


def add_own_kernel(home: Home, bzimage: Path, modules: Path | None, tell: Tell) -> str:
    """A user's own kernel as a set; the name it got. Raises PollbenchError when it lacks what the guest needs."""
    if not bzimage.is_file():
        raise InputError("read the kernel", str(bzimage), "there is no such file", where="--bzimage")
    release = kernelimage.release_of(bzimage)
    if modules is not None:
        _check_modules(bzimage, release, modules)
    digest = sha256_of(bzimage)
    name = f"own-{digest[:12]}"
    with home.workshop() as workshop:
        files = kernelimage.assemble(
            release or name, bzimage, modules, workshop, {"bzimage": [str(bzimage), digest]}
        )
        needed = set(recipe.BOOT_MODULES) & set(files.absent)
        if modules is None:
            tell(
                f"{bzimage.name}: no modules given, so it must have built in: {', '.join(recipe.BOOT_MODULES)}"
            )
        elif needed:
            todo = f"build it with {', '.join(sorted(needed))} (see docs/vm.md, your own kernel)"
            raise PollbenchError(
                "use your kernel", str(bzimage), f"it lacks {', '.join(sorted(needed))}", todo
            )
        if files.absent:
            tell(f"{bzimage.name}: not in this kernel, so not in the guest: {' '.join(files.absent)}")
        _keep_kernel(home, name, files)
    return name


def _check_modules(bzimage: Path, release: str, modules: Path) -> None:
    """Are they a directory of modules, and this kernel's? Raises InputError."""
    todo = f"name lib/modules/{release or 'RELEASE'}, as `make modules_install` leaves it"
    if not (modules / "kernel").is_dir():
        got = "there is no such directory" if not modules.is_dir() else "it has no directory `kernel`"
        raise InputError("use modules", str(modules), got, todo, where="--modules")
    if release and modules.name != release:
        got = f"they are of {modules.name}, and {bzimage.name} is {release}"
        raise InputError("use modules", str(modules), got, todo, where="--modules")


def _keep_kernel(home: Home, name: str, files: kernelimage.KernelFiles) -> dict[str, str]:
    hashes = {
        "vmlinuz": home.keep(files.vmlinuz),
        "modules": home.keep(files.modules),
        "initramfs": home.keep(files.initramfs),
    }
    entry: dict[str, Any] = {"format": FORMAT, "release": files.release, "recipe": recipe.recipe_hash()}
    home.record(f"kernel {name}", entry | hashes | {"packages": files.packages, "absent": list(files.absent)})
    return hashes


def pin(home: Home) -> None:
    """Write what is in the index into the lock file: the versions, and the hashes that a build of them has."""
    index = home.index()
    kernels = {name: index[f"kernel {name}"] for name in recipe.KERNELS if f"kernel {name}" in index}
    whole: dict[str, Any] = {key: index[key] for key in ("root", "qemu") if key in index}
    artefacts = {key: entry["sha256"] for key, entry in whole.items()}
    artefacts |= {f"kernel {name} {part}": entry[part] for name, entry in kernels.items() for part in _PARTS}
    pinned = {
        name: {"release": entry["release"], "packages": entry["packages"]} for name, entry in kernels.items()
    }
    packages = {key: entry["packages"] for key, entry in whole.items()}
    recipe.write_lock(replace(recipe.read_lock(), **packages, kernels=pinned, artefacts=artefacts))
    # The lock is part of the recipe: what it was written from is of this very recipe.
    current = recipe.recipe_hash()
    for key in (*whole, *(f"kernel {name}" for name in kernels)):
        home.record(key, index[key] | {"recipe": current})


_PARTS = ("vmlinuz", "modules", "initramfs")


def hashes_of(key: str, entry: dict[str, Any]) -> dict[str, str]:
    """The artefacts that an entry of the index names, by what they are."""
    if key.startswith("kernel "):
        return {f"{key} {part}": entry[part] for part in _PARTS}
    return {key.partition(" ")[0]: entry["sha256"]}
