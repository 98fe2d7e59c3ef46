"""The real image, built once a session unless the user's cache holds the one of this very recipe."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.places.vm import build, recipe
from harness.places.vm.home import Home
from tests import command, experiment, lanes

# Starting a guest takes 15 s of CPU time or more: what does not ask for another machine or other NICs has these, so
# that one that was saved serves all.
MACHINE = {"memory": "384MiB"}
VETH: dict[str, Any] = experiment.document()["topology"]
WIRE = VETH | {"links": [{"between": ["client", "server"], "nic": "e1000e"}]}
NEEDS = ("mmdebstrap", "mksquashfs", "zstd")


@pytest.fixture(scope="session")
def home() -> Home:
    """Where the image lies."""
    missing = [name for name in NEEDS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; type: tools/os-packages.sh vm")
    cache = Home()
    with open(__file__) as file, lanes.in_host_network():
        # Of several workers one builds, and the others wait for it.
        fcntl.flock(file, fcntl.LOCK_EX)
        current, index = recipe.recipe_hash(), cache.index()
        fresh = {key for key, entry in index.items() if entry.get("recipe") == current}
        kernels = [name for name in (recipe.DEFAULT_KERNEL,) if f"kernel {name}" not in fresh]
        build.build(cache, kernels, lambda text: None, root="root" not in fresh, emulator="qemu" not in fresh)
    return cache


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A directory for result sets that nobody without privilege is kept out of."""
    path = tmp_path / "results"
    path.mkdir()
    for directory in (tmp_path, path):
        directory.chmod(0o777)
    return path


def document(**changes: Any) -> dict[str, Any]:
    """A quick ping-pong over the NICs and in the machine that tests share, with sections replaced by `changes`."""
    return experiment.document(**({"topology": WIRE, "vm": MACHINE} | changes))


def write(directory: Path, **changes: Any) -> Path:
    """The document as a file in `directory`."""
    return experiment.write(directory, **({"topology": WIRE, "vm": MACHINE} | changes))


def vm_run(file: Path, results: Path, *arguments: str, **options: Any) -> tuple[int, str, str]:
    """`pollbench vm run` as a user's shell starts it, in the quickest emulation."""
    with command.start("vm", "run", file, "--accel", "tcg-smoke", "-o", results, *arguments, **options) as process:
        out, err = process.communicate(timeout=600)
    return process.returncode, out, err
