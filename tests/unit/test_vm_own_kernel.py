"""What is said of a kernel of one's own that cannot be used, before anything boots."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest

from harness.errors import InputError, PollbenchError
from harness.places.vm import programs
from harness.places.vm.build import add_own_kernel
from harness.places.vm.home import Home
from harness.places.vm.kernelimage import release_of

RELEASE = "6.1.0-50-cloud-amd64"


def bzimage(path: Path) -> Path:
    """The parts of a bzImage that are read: boot sector, release, and a compressed ELF file."""
    packed, start = gzip.compress(b"\x7fELF" + bytes(64)), 0x400
    data = bytearray(start) + packed
    data[0x1F1] = 1
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x20E, 0x100)
    version = f"{RELEASE} (someone@somewhere) #1 SMP\0".encode()
    data[0x300 : 0x300 + len(version)] = version
    struct.pack_into("<II", data, 0x248, 0, len(packed))
    path.write_bytes(data)
    return path


def modules(path: Path) -> Path:
    (path / "kernel").mkdir(parents=True)
    return path


def test_a_kernel_says_its_release(tmp_path: Path) -> None:
    assert release_of(bzimage(tmp_path / "vmlinuz")) == RELEASE
    elf = tmp_path / "vmlinux"
    elf.write_bytes(b"\x7fELF" + bytes(9) + b"Linux version 7.3.0-rc1 (someone@somewhere)\n")
    assert release_of(elf) == "7.3.0-rc1"


def test_what_cannot_be_used_is_refused_with_the_reason(tmp_path: Path) -> None:
    home, kernel = Home(tmp_path / "home"), bzimage(tmp_path / "vmlinuz")
    text = tmp_path / "text"
    text.write_text("no kernel\n" * 200)
    other, empty = modules(tmp_path / "6.12.1"), tmp_path / RELEASE
    empty.mkdir()
    for image, tree, said in (
        (tmp_path / "none", None, "there is no such file"),
        (text, None, "it is no x86 kernel image; name a bzImage"),
        (kernel, tmp_path / "none", "there is no such directory"),
        (kernel, empty, f"it has no directory `kernel`; name lib/modules/{RELEASE}"),
        (kernel, other, f"they are of 6.12.1, and vmlinuz is {RELEASE}; name lib/modules/{RELEASE}"),
    ):
        with pytest.raises(InputError) as caught:
            add_own_kernel(home, image, tree, print)
        assert said in caught.value.line()
    assert not home.index()


def test_a_full_disk_is_named_whoever_met_it() -> None:
    programs.check_space("dpkg-deb", "error: something else")
    with pytest.raises(PollbenchError, match="dpkg-deb: no space left on the disk; free 2 GB"):
        programs.check_space("dpkg-deb", "tar: ./x: Cannot write: No space left on device\nexit")
