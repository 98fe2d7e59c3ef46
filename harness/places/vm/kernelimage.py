"""A kernel set: the kernel as it was packed, its pruned modules, and our small initramfs."""

from __future__ import annotations

import re
import shutil
import struct
from pathlib import Path

from harness.errors import InputError
from harness.places.vm import cpio, recipe
from harness.places.vm.apt import Packages, extract
from harness.places.vm.compression import GZIP, decompressed
from harness.places.vm.home import KERNEL_PARTS, Built, Part, sha256_of
from harness.places.vm.modules import ModuleTree, index_modules
from harness.places.vm.squashfs import squash

_APPLETS = ("sh", "mount", "cp", "mkdir", "insmod", "switch_root", "cat", "echo", "poweroff")
_DIRECTORIES = ("bin", "proc", "sys", "dev", "root", "lower", "upper", "modules")
_BUSYBOX = "busybox-static"
_IMAGE = re.compile(r"linux-image-(\d.*)")
_ELF = b"\x7fELF"
_LENGTH_BYTES = 4


def build_kernel(name: str, workshop: Path) -> Built:
    """One of recipe.KERNELS from its suite. Raises PollbenchError, MissingError."""
    suite, tree = recipe.KERNELS[name], workshop / "kernel"
    # Of what the kernel needs where it is installed nothing is used, so that may come from the root's suite.
    suites = dict.fromkeys([recipe.SUITE, suite])
    kernel = f"linux-image-amd64/{suite}"
    packages = extract([kernel, f"{_BUSYBOX}/{recipe.SUITE}"], list(suites), tree)
    (release,) = {match[1] for match in map(_IMAGE.fullmatch, packages) if match}
    # Newer packages are split: the kernel, its modules and their tables each in one.
    used = {name: packages[name] for name in packages if name.endswith(release) or name == _BUSYBOX}
    bzimage = next(path for name in (f"vmlinuz-{release}", "vmlinuz") for path in tree.glob(f"**/{name}"))
    tables = next((path for path in tree.glob(f"**/lib/modules/{release}")), tree)
    return _assemble(release, bzimage, tables, workshop, tree, used)


def build_own_kernel(release: str, bzimage: Path, modules: Path | None, workshop: Path) -> Built:
    """The set of a user's kernel and its modules directory (None: all is built in). Raises PollbenchError."""
    tree = workshop / "busybox"
    packages = {"bzimage": [str(bzimage), sha256_of(bzimage)]} | extract([_BUSYBOX], [recipe.SUITE], tree)
    return _assemble(release, bzimage, modules, workshop, tree, packages)


def _assemble(
    release: str, bzimage: Path, modules: Path | None, workshop: Path, tree: Path, packages: Packages
) -> Built:
    """The files of a set. tree: where busybox was unpacked."""
    extract_elf(bzimage)
    shutil.copyfile(bzimage, workshop / "vmlinuz")
    pruned = workshop / "pruned"
    (pruned / "lib/modules").mkdir(parents=True)
    absent: list[str] = []
    at_boot: dict[str, bytes] = {}
    if modules is not None:
        if not (modules / "modules.dep").exists():
            # Debian leaves the table to be made where the package is installed.
            index_modules(modules)
        table = ModuleTree(modules)
        chosen, absent = table.chosen(recipe.words("modules"))
        table.install(chosen, pruned)
        at_boot = {Path(path).name: table.content(path) for path in table.chosen(recipe.BOOT_MODULES)[0]}
    squash(pruned / "lib/modules", workshop / "modules")
    busybox = next(tree.glob("**/bin/busybox")).read_bytes()
    (workshop / "initramfs").write_bytes(_initramfs(at_boot, busybox))
    files: dict[Part, Path] = {part: workshop / part for part in KERNEL_PARTS}
    return Built(files, packages, release, tuple(absent))


def _initramfs(modules: dict[str, bytes], busybox: bytes) -> bytes:
    """The archive with these modules (file name to contents), which `init` loads in this order."""
    members = dict.fromkeys(_DIRECTORIES, cpio.DIRECTORY)
    members["bin/busybox"] = cpio.executable(busybox)
    members |= {f"bin/{name}": cpio.link("busybox") for name in _APPLETS}
    for number, (name, content) in enumerate(modules.items()):
        members[f"modules/{number:02}-{name.partition('.')[0]}.ko"] = cpio.plain(content)
    members |= {name: cpio.executable((recipe.DATA / name).read_bytes()) for name in ("init", "pid1")}
    # Not compressed: decompressing it in an emulated guest would take longer than reading it.
    return cpio.pack(members)


def release_of(path: Path) -> str:
    """The release that a kernel says it is, as `uname -r` would; empty where it says nothing. Raises InputError."""
    packed, data = path.read_bytes(), extract_elf(path)
    if packed[:4] != _ELF:
        # The boot protocol's kernel_version (Documentation/arch/x86/boot.rst).
        start = 0x200 + struct.unpack_from("<H", packed, 0x20E)[0]
        return packed[start:].split(b"\0", 1)[0].split(b" ", 1)[0].decode(errors="replace")
    match = re.search(rb"Linux version (\S+) ", data)
    return match[1].decode(errors="replace") if match else ""


def expand_kernel(vmlinuz: Path, into: Path) -> None:
    """What boots at once, without the guest decompressing itself: the ELF file, as `vmlinux` in a new directory."""
    into.mkdir()
    (into / "vmlinux").write_bytes(extract_elf(vmlinuz))


def extract_elf(path: Path) -> bytes:
    """The ELF kernel inside a bzImage (or the file itself, if it is one). Raises InputError for anything else."""
    data = path.read_bytes()
    if data[:4] == _ELF:
        return data
    if data[0x202:0x206] != b"HdrS":
        todo = "name a bzImage (arch/x86/boot/bzImage, vmlinuz-...) or an ELF vmlinux"
        raise InputError("read the kernel", str(path), "it is no x86 kernel image", todo)
    sectors = data[0x1F1] or 4
    offset, length = struct.unpack_from("<II", data, 0x248)
    start = (sectors + 1) * 512 + offset
    packed = data[start : start + length]
    # The kernel's build appends the unpacked length to every stream; gzip has it already.
    elf = decompressed(packed if packed.startswith(GZIP) else packed[:-_LENGTH_BYTES], path)
    if elf[:4] != _ELF:
        got = f"what is compressed in it, beginning {packed[:4].hex()}, is no ELF file"
        raise InputError("read the kernel", str(path), got)
    return elf
