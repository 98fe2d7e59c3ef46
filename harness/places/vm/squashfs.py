"""Packs and unpacks squashfs images whose bytes depend on their contents alone."""

from __future__ import annotations

import os
from pathlib import Path

from harness.places.vm import programs
from harness.places.vm.recipe import EPOCH

_PACKING = ("-comp", "zstd", "-Xcompression-level", "15", "-b", "128K", "-no-progress", "-quiet", "-noappend")


def squash(directory: Path, image: Path) -> None:
    """Pack a directory: names, contents and which files are executable; not owners, times or the builder's umask."""
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    # mksquashfs refuses to have its times set by both the environment and its options.
    env = {key: value for key, value in os.environ.items() if key != "SOURCE_DATE_EPOCH"}
    alike = ("-all-root", "-all-time", str(EPOCH), "-mkfs-time", str(EPOCH), "-no-xattrs")
    programs.run(["mksquashfs", str(directory), str(image), *_PACKING, *alike], env=env)


def squash_tar(tar: Path, image: Path) -> None:
    """Pack a tar archive, with the owners and modes that it has."""
    env = os.environ | {"SOURCE_DATE_EPOCH": str(EPOCH)}
    # A tar archive does not say who owns the top directory: without this it would be the caller.
    inside = ["unshare", "--map-root-user", "--"] if os.geteuid() else []
    with open(tar, "rb") as stream:
        packing = [*_PACKING, "-tar"]
        programs.run(
            ["mksquashfs", "-", str(image), *packing], env=env, stdin=stream.fileno(), inside=inside, timeout_s=1800
        )


def unsquash(image: Path, into: Path, *names: str) -> None:
    """Unpack what these names and patterns match, or all, to a new directory. Raises MissingError, PollbenchError."""
    programs.run(["unsquashfs", "-q", "-n", "-no-xattrs", "-d", str(into), str(image), *names])
