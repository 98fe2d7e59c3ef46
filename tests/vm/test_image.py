"""The image is what its recipe says, byte for byte, and nothing damaged is ever booted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.errors import InputError, MissingError, PollbenchError
from harness.places.vm import accel, build, exchange, qemu, recipe
from harness.places.vm.emulator import find_emulator
from harness.places.vm.home import Home
from harness.places.vm.image import open_image
from tests import lanes


@pytest.fixture
def copy(home: Home, tmp_path: Path) -> Home:
    """A home of its own with the same artefacts, to be damaged."""
    shutil.copytree(home.path / "artefacts", tmp_path / "vm" / "artefacts")
    shutil.copy(home.path / "index.json", tmp_path / "vm" / "index.json")
    return Home(tmp_path / "vm")


@pytest.mark.slow
def test_two_builds_are_identical(home: Home, tmp_path: Path) -> None:
    """What the lock pins was another build, of the same recipe; where packages have moved on since, a third is made."""
    name, index = recipe.DEFAULT_KERNEL, home.index()
    parts = ("root", "qemu", f"kernel {name}")
    hashes = {key: value for part in parts for key, value in build.hashes_of(part, index[part]).items()}
    lock = recipe.read_lock()
    pinned = (lock.root, lock.qemu, lock.kernels[name]["packages"])
    if tuple(index[part]["packages"] for part in parts) == pinned:
        assert hashes.items() <= lock.artefacts.items()
        return
    with lanes.in_host_network():
        again = build.build(Home(tmp_path / "again"), [name], lambda text: None, emulator=True)
    assert {artefact.name: artefact.sha256 for artefact in again} == hashes


def test_a_build_tells_which_packages_differ_from_the_lock(home: Home) -> None:
    lock = recipe.read_lock()
    built = home.index()["root"]["packages"]
    assert built.keys() == lock.root.keys()
    changed = built | {"sed": ["0.0", built["sed"][1]]}
    assert recipe.differences(lock.root, changed)[-1] == f"sed is 0.0, pinned is {lock.root['sed'][0]}"


def test_a_damaged_artefact_is_named_and_not_booted(copy: Home) -> None:
    path = copy.artefact(open_image(copy, "").hashes["vmlinuz"])
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)
        file.seek(1_000_000)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(PollbenchError, match=r"verify the vmlinuz.*it was damaged; build it again"):
        open_image(copy, "")


def test_export_and_import_give_the_same_image(copy: Home, tmp_path: Path) -> None:
    target, other = tmp_path / "image.tar.zst", Home(tmp_path / "other")
    exchange.export(copy, target)
    with pytest.raises(PollbenchError, match="nothing was taken in"):
        exchange.import_image(other, str(target), "0" * 64, lambda text: None)
    assert other.index() == {}
    exchange.import_image(other, str(target), None, lambda text: None)
    assert open_image(other, "").hashes == open_image(copy, "").hashes


def test_a_kernel_that_is_not_there(home: Home) -> None:
    with pytest.raises(MissingError, match=r"no kernel set named 5\.4"):
        open_image(home, "5.4")


def test_an_own_kernel_is_looked_at_before_it_is_booted(copy: Home, tmp_path: Path) -> None:
    text = tmp_path / "bzImage"
    text.write_bytes(b"no kernel" * 200)
    with pytest.raises(InputError, match="it is no x86 kernel image"):
        build.add_own_kernel(copy, text, None, lambda text: None)


def test_the_probe_s_boot_sector_runs_where_code_runs(home: Home, tmp_path: Path) -> None:
    disk = tmp_path / "probe.img"
    disk.write_bytes(accel.boot_sector())
    argv = [*find_emulator(home).argv, *qemu.BARE, "-machine", "pc", "-accel", "tcg"]
    argv += ["-drive", f"file={disk},format=raw,if=ide"]
    done = subprocess.run(
        [*argv, "-device", "isa-debug-exit,iobase=0xf4,iosize=4"], timeout=60, check=False, capture_output=True
    )
    assert done.returncode == 33


def test_the_provided_qemu_needs_nothing_of_the_host_and_mends_itself(home: Home) -> None:
    provided = find_emulator(home, "provided")
    libraries = Path(provided.argv[0]).parent
    of_host = subprocess.run(
        [provided.argv[0], "--list", provided.argv[5]], env={}, capture_output=True, text=True, check=False
    )
    own = subprocess.run(
        [*provided.argv[:3], "--list", provided.argv[5]], env={}, capture_output=True, text=True, check=True
    ).stdout
    assert of_host.stdout != own
    assert {str(Path(path).parent) for path in re.findall(r"=> (\S+)", own)} == {str(libraries)}
    assert provided.number >= (10, 0)
    assert not provided.lacks_nic("igb")
    # A file in its place: what is written into the one that is there ends every QEMU that has it mapped.
    (damaged := libraries / "damaged").write_bytes(b"damaged")
    damaged.replace(libraries / "libz.so.1")
    assert find_emulator(home, "provided") == provided
