"""A kernel set: the kernel as it was packed, its pruned modules, and our small initramfs."""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError, PollbenchError
from harness.places.vm import cpio, recipe
from harness.places.vm.apt import Suite
from harness.places.vm.modules import ModuleTree
from harness.places.vm.rootimage import squash

_APPLETS = ("sh", "mount", "cp", "mkdir", "insmod", "switch_root", "cat", "echo", "poweroff")
_ELF = b"\x7fELF"


@dataclass(frozen=True)
class KernelFiles:
    """The files of one kernel set. vmlinuz: a bzImage or an ELF file, as it came.

    absent: modules asked for that this kernel has neither as files nor built in.
    """

    release: str
    vmlinuz: Path
    modules: Path
    initramfs: Path
    packages: dict[str, list[str]]
    absent: tuple[str, ...]


def build_kernel(name: str, workshop: Path) -> KernelFiles:
    """One of recipe.KERNELS from its suite. Raises PollbenchError, MissingError."""
    suite = Suite(recipe.KERNELS[name], workshop / "apt")
    suite.update()
    (image,) = [
        each for each in suite.package("linux-image-amd64").depends if each.startswith("linux-image-")
    ]
    release, files = image.removeprefix("linux-image-"), workshop / "kernel"
    # Newer packages are split: the kernel, its modules and their tables each in one.
    parts = [image, *(each for each in suite.package(image).depends if each.endswith(release))]
    packages = {each.name: [each.version, each.sha256] for each in suite.unpack(parts, files)}
    bzimage = next(path for name in (f"vmlinuz-{release}", "vmlinuz") for path in files.glob(f"**/{name}"))
    tables = next((path for path in files.glob(f"**/lib/modules/{release}")), files)
    return assemble(release, bzimage, tables, workshop, packages)


def assemble(
    release: str, bzimage: Path, modules: Path | None, workshop: Path, packages: dict[str, list[str]]
) -> KernelFiles:
    """The set of a kernel and its modules directory (None: everything is built in). Raises PollbenchError."""
    extract_elf(bzimage)
    vmlinuz = workshop / "vmlinuz"
    shutil.copyfile(bzimage, vmlinuz)
    tree = None
    if modules is not None:
        table = modules / "modules.dep"
        if not table.exists():
            # Debian leaves the table to be made where the package is installed.
            _index(modules)
        tree = ModuleTree(modules)
    absent: list[str] = []
    pruned = workshop / "pruned"
    (pruned / "lib/modules").mkdir(parents=True)
    if tree is not None:
        chosen, absent = tree.chosen(recipe.module_names())
        tree.install(chosen, pruned)
    image = workshop / "modules.sqfs"
    squash(pruned / "lib/modules", image)
    initramfs = workshop / "initramfs"
    initramfs.write_bytes(_initramfs(tree, _busybox(workshop, packages)))
    return KernelFiles(release, vmlinuz, image, initramfs, packages, tuple(absent))


def _index(modules: Path) -> None:
    from harness.places.vm.apt import run

    base = next(parent for parent in modules.parents if (parent / "lib/modules" / modules.name) == modules)
    depmod = next(
        (str(path) for path in (Path("/usr/sbin/depmod"), Path("/sbin/depmod")) if path.exists()), "depmod"
    )
    run([depmod, "-b", str(base), modules.name])


def _busybox(workshop: Path, packages: dict[str, list[str]]) -> bytes:
    suite = Suite(recipe.SUITE, workshop / "apt-busybox")
    suite.update()
    (package,) = suite.unpack(["busybox-static"], workshop / "busybox")
    packages["busybox-static"] = [package.version, package.sha256]
    return next(path for path in (workshop / "busybox").glob("**/bin/busybox")).read_bytes()


def _initramfs(tree: ModuleTree | None, busybox: bytes) -> bytes:
    entries = {
        name: cpio.directory() for name in ("bin", "proc", "sys", "dev", "root", "lower", "upper", "modules")
    }
    entries["bin/busybox"] = cpio.executable(busybox)
    entries |= {f"bin/{name}": cpio.link("busybox") for name in _APPLETS}
    for number, path in enumerate(tree.chosen(recipe.BOOT_MODULES)[0] if tree is not None else []):
        name = Path(path).name.partition(".")[0]
        assert tree is not None
        entries[f"modules/{number:02}-{name}.ko"] = cpio.plain(tree.content(path))
    entries["init"] = cpio.executable((recipe.DATA / "init").read_bytes())
    entries["pid1"] = cpio.executable((recipe.DATA / "pid1").read_bytes())
    # Not compressed: decompressing it in an emulated guest would take longer than reading it.
    return cpio.pack(entries)


def release_of(path: Path) -> str:
    """The release that a kernel says it is, as `uname -r` would; empty where it says nothing. Raises InputError."""
    packed, data = path.read_bytes(), extract_elf(path)
    if packed[:4] != _ELF:
        # The boot protocol's kernel_version (Documentation/arch/x86/boot.rst).
        place = 0x200 + struct.unpack_from("<H", packed, 0x20E)[0]
        return packed[place:].split(b"\0", 1)[0].split(b" ", 1)[0].decode(errors="replace")
    found = re.search(rb"Linux version (\S+) ", data)
    return found[1].decode(errors="replace") if found else ""


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
    found = _decompressed(data[start : start + length], path)
    if found[:4] != _ELF:
        raise InputError("read the kernel", str(path), "what is compressed in it is no ELF file")
    return found


def _decompressed(packed: bytes, path: Path) -> bytes:
    magics = {b"\x28\xb5\x2f\xfd": ("zstd", "-dcq"), b"\x02\x21\x4c\x18": ("lz4", "-dcq")}
    try:
        if packed[:6] == b"\xfd7zXZ\0":
            return lzma.LZMADecompressor().decompress(packed)
        if packed[:2] == b"\x1f\x8b":
            return gzip.decompress(packed)
        program = magics.get(packed[:4])
        if program is None:
            raise InputError(
                "read the kernel", str(path), f"compressed in an unknown way ({packed[:4].hex()})"
            )
        done = subprocess.run([*program], input=packed, capture_output=True, check=False)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise PollbenchError(
            "decompress the kernel", str(path), str(error), "tools/os-packages.sh vm"
        ) from None
    return done.stdout
