"""Builds images: the root, kernel sets, QEMU, and the index that says what is what."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.errors import InputError, PollbenchError
from harness.places.vm import kernelimage, recipe
from harness.places.vm.apt import Packages
from harness.places.vm.buildtree import modules_of_tree
from harness.places.vm.emulatorimage import build_emulator
from harness.places.vm.home import KERNEL_PARTS, Built, Home, IndexEntry, sha256_of
from harness.places.vm.rootimage import build_root

Tell = Callable[[str], None]
_OPTIONS = ("--bzimage", "--modules")


@dataclass(frozen=True)
class Artefact:
    """One file just made. differs: in words, where its packages are not those of the lock."""

    name: str
    sha256: str
    size_bytes: int
    seconds: float
    differs: tuple[str, ...]


def build(home: Home, kernels: Sequence[str], tell: Tell, root: bool = True, emulator: bool = True) -> list[Artefact]:
    """Make the root image, the named kernel sets and QEMU, and enter them in the index. Raises PollbenchError."""
    lock, made = recipe.read_lock(), []
    for name in kernels:
        if name not in recipe.KERNELS:
            todo = f"expected {', '.join(recipe.KERNELS)}; or your own by --bzimage"
            raise InputError("build a kernel set", on=name, got="the recipe has no such kernel", todo=todo)
    if root:
        count = len(recipe.words("packages"))
        tell(f"root: installing {count} packages and what they need from {recipe.SUITE}: about 45 s")
        made += _make(home, "root", build_root, lock.root)
    if emulator:
        tell(f"qemu: fetching {recipe.EMULATOR} and its libraries from {recipe.SUITE}: about 15 s")
        made += _make(home, "qemu", build_emulator, lock.qemu)
    for name in kernels:
        tell(f"kernel {name}: fetching it from {recipe.KERNELS[name]}: about 20 s")
        pinned = lock.kernels[name]["packages"] if name in lock.kernels else {}
        made += _make(home, f"kernel {name}", partial(kernelimage.build_kernel, name), pinned)
    return made


def _make(home: Home, key: str, make: Callable[[Path], Built], pinned: Packages) -> list[Artefact]:
    """The artefacts of one entry of the index. make: builds them in the directory it is given."""
    begun = time.monotonic()
    with home.workshop() as workshop:
        entry = _keep(home, key, make(workshop))
    seconds, differs = time.monotonic() - begun, tuple(recipe.differences(pinned, entry["packages"]))
    return [
        Artefact(name, sha256, home.artefact(sha256).stat().st_size, seconds, differs)
        for name, sha256 in hashes_of(key, entry).items()
    ]


def _keep(home: Home, key: str, built: Built) -> IndexEntry:
    """Move what was built home, and enter it in the index."""
    entry: IndexEntry = {"recipe": recipe.recipe_hash(), "packages": built.packages}
    if built.release:
        entry["release"] = built.release
    for part, path in built.files.items():
        entry[part] = home.keep(path)
    home.record(key, entry)
    return entry


def add_own_kernel(
    home: Home, bzimage: Path, modules: Path | None, tell: Tell, options: Sequence[str] = _OPTIONS
) -> str:
    """A user's own kernel as a set; the name it got. options: that name the kernel and its modules.

    Raises PollbenchError when it lacks what the guest needs.
    """
    if not bzimage.is_file():
        raise InputError("read the kernel", str(bzimage), "there is no such file", where=options[0])
    release = kernelimage.release_of(bzimage)
    if modules is not None:
        _check_modules(bzimage, release, modules, options[1])
    with home.workshop() as workshop:
        built = kernelimage.build_own_kernel(release or bzimage.name, bzimage, modules, workshop)
        # Of two builds only the modules may differ.
        sums = "".join(sha256_of(path) for path in built.files.values())
        name = f"own-{hashlib.sha256(sums.encode()).hexdigest()[:12]}"
        lacks = ", ".join(sorted(set(recipe.BOOT_MODULES) & set(built.absent)))
        if modules is None:
            needed = ", ".join(recipe.BOOT_MODULES)
            tell(f"{bzimage.name}: no modules given, so it must have built in: {needed}")
        elif lacks:
            todo = f"build it with {lacks} (see docs/vm.md, your own kernel)"
            raise PollbenchError("use your kernel", str(bzimage), f"it lacks {lacks}", todo)
        if built.absent:
            tell(f"{bzimage.name}: not in this kernel, so not in the guest: {' '.join(built.absent)}")
        _keep(home, f"kernel {name}", built)
    return name


def add_built_kernel(home: Home, tree: Path, tell: Tell) -> str:
    """The kernel of a build tree, with the modules that lie built in it, as a set; the name it got."""
    bzimage = tree / "arch" / "x86" / "boot" / "bzImage"
    if not bzimage.is_file():
        todo = "build it, or name a bzImage"
        raise InputError("read the kernel", str(tree), "it holds no arch/x86/boot/bzImage", todo, "--kernel")
    release = kernelimage.release_of(bzimage)
    if not (tree / "modules.order").is_file():
        return add_own_kernel(home, bzimage, None, tell)
    with home.workshop() as workshop:
        return add_own_kernel(home, bzimage, modules_of_tree(tree, workshop / "lib" / "modules" / release), tell)


def _check_modules(bzimage: Path, release: str, modules: Path, option: str) -> None:
    """Are they a directory of modules, and this kernel's? Raises InputError."""
    todo = f"name lib/modules/{release or 'RELEASE'}, as `make modules_install` leaves it"
    if not (modules / "kernel").is_dir():
        got = "there is no such directory" if not modules.is_dir() else "it has no directory `kernel`"
        raise InputError("use modules", str(modules), got, todo, where=option)
    if release and modules.name != release:
        got = f"they are of {modules.name}, and {bzimage.name} is {release}"
        raise InputError("use modules", str(modules), got, todo, where=option)


def pin(home: Home) -> None:
    """Write what is in the index into the lock file: the versions, and the hashes that a build of them has."""
    index, lock = home.index(), recipe.read_lock()
    ours = ("root", "qemu", *(f"kernel {name}" for name in recipe.KERNELS))
    built = {key: index[key] for key in ours if key in index}
    packages = {key: entry["packages"] for key, entry in built.items()}
    kernels: dict[str, recipe.PinnedKernel] = {
        key.removeprefix("kernel "): {"release": entry["release"], "packages": entry["packages"]}
        for key, entry in built.items()
        if "release" in entry
    }
    root, qemu = packages.get("root", lock.root), packages.get("qemu", lock.qemu)
    recipe.write_lock(recipe.Lock(root, qemu, lock.kernels | kernels, lock.artefacts | artefacts_of(built)))
    # The lock is part of the recipe: what it was written from is of this very recipe.
    current = recipe.recipe_hash()
    for key, entry in built.items():
        home.record(key, {**entry, "recipe": current})


def artefacts_of(index: Mapping[str, IndexEntry]) -> dict[str, str]:
    """All artefacts of an image, without payloads, by what they are."""
    return {name: sha256 for key, entry in index.items() for name, sha256 in hashes_of(key, entry).items()}


def hashes_of(key: str, entry: IndexEntry) -> dict[str, str]:
    """The artefacts that an entry of the index names, by what they are."""
    if key.startswith("kernel "):
        return {f"{key} {part}": entry[part] for part in KERNEL_PARTS}
    return {key.partition(" ")[0]: entry["sha256"]}
