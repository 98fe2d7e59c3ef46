"""The provided QEMU: the program, its libraries, loader and firmware as one squashfs that runs on any distribution."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from harness.errors import PollbenchError
from harness.places.vm import programs, recipe
from harness.places.vm.apt import extract
from harness.places.vm.emulator import PROGRAM
from harness.places.vm.home import Built
from harness.places.vm.squashfs import squash

_LOADER = "ld-linux-x86-64.so.2"
_LIBRARIES = Path("usr/lib/x86_64-linux-gnu")


def build_emulator(workshop: Path) -> Built:
    """Make it in `workshop`, without privilege. Raises MissingError for a missing program, PollbenchError."""
    unpacked, tree, image = workshop / "unpacked", workshop / "tree", workshop / "qemu.sqfs"
    packages = extract([recipe.EMULATOR], [recipe.SUITE], unpacked)
    libraries, program = unpacked / _LIBRARIES, unpacked / "usr/bin" / PROGRAM
    parts = {
        "bin": [program],
        "lib": [libraries / _LOADER, *_needed(program, libraries)],
        "share": [unpacked / "usr/share" / name for name in recipe.words("firmware")],
    }
    for name, paths in parts.items():
        (tree / name).mkdir(parents=True)
        for path in paths:
            shutil.copy(path, tree / name)
    squash(tree, image)
    return Built({"sha256": image}, packages)


def _needed(program: Path, libraries: Path) -> list[Path]:
    """Every library that the program loads, as its own loader finds them. Raises PollbenchError."""
    loader = [str(libraries / _LOADER), "--library-path", str(libraries)]
    listing = programs.run([*loader, "--list", str(program)])
    needed = [Path(path) for path in re.findall(r"=> (/\S+)", listing)]
    strangers = [str(path) for path in needed if libraries not in path.parents]
    if strangers:
        raise PollbenchError("gather QEMU's libraries", got=f"not among its packages: {' '.join(strangers)}")
    return needed
