"""An image chosen for use: the root, one kernel set and the payload, each verified by its hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import MissingError
from harness.places.vm import recipe
from harness.places.vm.home import KERNEL_PARTS, Home, IndexEntry
from harness.places.vm.kernelimage import expand_kernel
from harness.places.vm.payload import payload


@dataclass(frozen=True)
class Image:
    """Paths of verified artefacts, and the hashes by which others can ask for the same."""

    kernel: str
    release: str
    vmlinux: Path
    initramfs: Path
    modules: Path
    root: Path
    payload: Path
    hashes: dict[str, str]


def open_image(home: Home, kernel: str) -> Image:
    """The image with this kernel ("": the default). Raises MissingError (not built), PollbenchError (damaged)."""
    index, name = home.index(), kernel or recipe.DEFAULT_KERNEL
    kernel_set = index.get(f"kernel {name}") or _by_release(index, name)
    if "root" not in index or kernel_set is None:
        missing = "root image" if "root" not in index else f"kernel set named {name}"
        ours = f" --kernel {name}" if name in recipe.KERNELS else ""
        have = ", ".join(sorted(key.removeprefix("kernel ") for key in index if key.startswith("kernel ")))
        todo = f"build it: pollbench vm build{ours}" + (f"; there is {have}" if have and not ours else "")
        raise MissingError("start a guest", got=f"there is no {missing}", todo=todo)
    root = index["root"]["sha256"]
    hashes = {"root": root, "payload": payload(home, root)}
    hashes |= {part: kernel_set[part] for part in KERNEL_PARTS}
    return _image(home, name, kernel_set["release"], hashes)


def image_by_hash(home: Home, pinned: Mapping[str, str]) -> Image:
    """The very artefacts that a result set was made with; where our code is another by now, the payload differs.

    Raises MissingError when one is not here, PollbenchError when one is damaged.
    """
    hashes = {part: pinned.get(part, "") for part in ("root", *KERNEL_PARTS)}
    for part, sha256 in hashes.items():
        if not home.artefact(sha256).is_file():
            todo = "take the image in by `pollbench vm build --from FILE`, or build it from the same recipe"
            raise MissingError("find the image", part, f"there is none with SHA-256 {sha256[:16]}...", todo)
    own = pinned.get("payload", "")
    hashes["payload"] = own if home.artefact(own).is_file() else payload(home, hashes["root"])
    return _image(home, pinned["kernel"], pinned["release"], hashes)


def _image(home: Home, kernel: str, release: str, hashes: dict[str, str]) -> Image:
    paths = {part: home.verified(sha256, f"{part} of {kernel}") for part, sha256 in hashes.items() if part != "vmlinuz"}
    expanded = home.expanded(hashes["vmlinuz"], f"vmlinuz of {kernel}", expand_kernel)
    return Image(kernel=kernel, release=release, vmlinux=expanded / "vmlinux", hashes=hashes, **paths)


def _by_release(index: Mapping[str, IndexEntry], release: str) -> IndexEntry | None:
    return next((entry for entry in index.values() if entry.get("release") == release), None)
