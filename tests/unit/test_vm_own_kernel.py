"""What is said of a kernel of one's own that cannot be used, before anything boots."""

from __future__ import annotations

import gzip
import lzma
import struct
from pathlib import Path

import pytest

from harness.errors import InputError, MissingError, PollbenchError
from harness.places.vm import apt, buildtree, programs
from harness.places.vm.build import add_own_kernel
from harness.places.vm.home import Home
from harness.places.vm.kernelimage import release_of
from harness.places.vm.modules import ModuleTree
from tests import command, experiment

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
    for image, tree, reason in (
        (tmp_path / "none", None, "there is no such file"),
        (text, None, "it is no x86 kernel image; name a bzImage"),
        (kernel, tmp_path / "none", "there is no such directory"),
        (kernel, empty, f"it has no directory `kernel`; name lib/modules/{RELEASE}"),
        (kernel, other, f"they are of 6.12.1, and vmlinuz is {RELEASE}; name lib/modules/{RELEASE}"),
    ):
        with pytest.raises(InputError) as caught:
            add_own_kernel(home, image, tree, print)
        assert reason in caught.value.line()
    assert not home.index()


def test_a_full_disk_is_named_whoever_met_it() -> None:
    with pytest.raises(PollbenchError, match=r"run sh: exit code 1: error: something else"):
        programs.run(["sh", "-c", "echo error: something else >&2; exit 1"])
    with pytest.raises(PollbenchError, match="sh: no space left on the disk; free 2 GB"):
        programs.run(["sh", "-c", "echo tar: ./x: Cannot write: No space left on device >&2; exit 2"])
    with pytest.raises(MissingError, match=r"there is no program no-such-program; tools/os-packages.sh vm"):
        programs.run(["no-such-program"])


def test_packages_are_read_from_what_apt_would_fetch() -> None:
    busybox = "'http://deb/b/busybox-static_1.37.0-6%2bb9_amd64.deb' busybox-static_1%3a1.37.0-6+b9_amd64.deb"
    base = "'http://deb/l/linux-base_4.12.1~x_all.deb' linux-base_4.12.1~x_all.deb"
    hashes = "a" * 64, "b" * 64
    uris = f"Reading package lists...\n{busybox} 955316 SHA256:{hashes[0]}\n{base} 25 SHA256:{hashes[1]}\n"
    assert apt.packages_in(uris) == {
        "busybox-static": ["1:1.37.0-6+b9", hashes[0]],
        "linux-base": ["4.12.1~x", hashes[1]],
    }


@pytest.mark.parametrize(
    "packed", [lzma.compress(b"code" * 9), gzip.compress(b"code" * 9), b"code" * 9], ids=["xz", "gz", "ko"]
)
def test_a_module_is_decompressed_however_it_is_packed(tmp_path: Path, packed: bytes) -> None:
    (tmp_path / "modules.dep").write_text("a.ko:\n")
    (tmp_path / "a.ko").write_bytes(packed)
    assert ModuleTree(tmp_path).content("a.ko") == b"code" * 9
    if packed[:4] != b"code":
        (tmp_path / "a.ko").write_bytes(packed[:-9])
        with pytest.raises(PollbenchError, match=r"decompress on .*/a\.ko"):
            ModuleTree(tmp_path).content("a.ko")


def test_modules_are_taken_from_a_build_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    indexed: list[Path] = []
    monkeypatch.setattr(buildtree, "index_modules", indexed.append)
    tree, target = tmp_path / "tree", tmp_path / "lib" / "modules" / RELEASE
    for name in ("drivers/net/veth.ko", "net/sched/sch_netem.ko"):
        (tree / name).parent.mkdir(parents=True)
        (tree / name).write_bytes(name.encode())
    # Both ways of writing it; the last is in the list, and was not built.
    (tree / "modules.order").write_text("kernel/drivers/net/veth.ko\nnet/sched/sch_netem.o\nfs/gone.o\n")
    (tree / "modules.builtin").write_text("kernel/fs/overlayfs/overlay.ko\n")
    assert buildtree.modules_of_tree(tree, target) == target and indexed == [target]
    there = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert there == ["kernel/drivers/net/veth.ko", "kernel/net/sched/sch_netem.ko", "modules.builtin", "modules.order"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kernel", "6.99"], "there is no kernel set '6.99'; there is 6.1, 6.12, 7.3"),
        (["--kernel", "base=/nowhere"], "--kernel: read the kernel on /nowhere: there is no such file"),
        (["--kernel", "base=HERE"], "it holds no arch/x86/boot/bzImage"),
        (["--kernel", "6.1,6.1=/x"], "'6.1' is given twice"),
        (["--kernel", "a b=/x"], "is not LABEL=PATH"),
        (["--set", "vm.kernel='6.99'"], "there is no kernel set '6.99'"),
        (["--bzimage", "a", "--bzimage", "b"], "for two kernels: --kernel base=PATH,patch=PATH"),
    ],
)
def test_a_kernel_that_is_not_there_is_refused_before_anything_is_made(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    typed = [word.replace("HERE", str(tmp_path)) for word in words]
    done = command.call("vm", "run", experiment.write(tmp_path), "--dry-run", *typed)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
