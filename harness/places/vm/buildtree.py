"""A kernel's build tree as a source of modules: what `make modules_install` would make of what lies built in it."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.places.vm.modules import index_modules


def modules_of_tree(tree: Path, target: Path) -> Path:
    """The modules that lie built in a kernel's tree, put where `make modules_install` would put them, and indexed."""
    for line in (tree / "modules.order").read_text().splitlines():
        # Older kernels write kernel/NAME.ko, newer ones NAME.o.
        name = Path(line.removeprefix("kernel/")).with_suffix(".ko")
        if (tree / name).is_file():
            copy = target / "kernel" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(tree / name, copy)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        if (tree / name).is_file():
            shutil.copyfile(tree / name, target / name)
    index_modules(target)
    return target
