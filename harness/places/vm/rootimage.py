"""The root image: a Debian userland without a kernel, as one squashfs that is the same from build to build."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import loadgen
from harness.errors import MissingError, PollbenchError
from harness.places.vm import apt, recipe
from harness.run.process import launch_options

_TIMEOUT_S = 1800


@dataclass(frozen=True)
class Built:
    """A finished file and what is in it: package to [version, SHA-256 of its .deb]."""

    path: Path
    packages: dict[str, list[str]]


def build_root(workshop: Path) -> Built:
    """Make the root image in `workshop`. Raises MissingError for a missing program, PollbenchError."""
    for program in ("mmdebstrap", "mksquashfs"):
        if not apt.has_program(program):
            raise MissingError(
                "build the image", got=f"there is no program {program}", todo="tools/os-packages.sh vm"
            )
    listing, tar, image = workshop / "listing", workshop / "root.tar", workshop / "root.sqfs"
    listing.mkdir()
    env = os.environ | {"SOURCE_DATE_EPOCH": str(recipe.EPOCH)}
    if os.geteuid() == 0:
        env["TMPDIR"] = str(workshop)
    # Else its user namespace has other users, who cannot pass through a private home directory: TMPDIR or /tmp.
    sources = workshop / "sources.list"
    sources.write_text(apt.source_line(recipe.SUITE, apt.mirror()))
    _run(["mmdebstrap", *_options(listing), recipe.SUITE, str(tar), str(sources)], env, around=_own_mounts())
    with open(tar, "rb") as stream:
        # A tar says nothing of the top directory, which then is the caller's: let that be root.
        owner = ["unshare", "--map-root-user", "--"] if os.geteuid() else []
        _run(["mksquashfs", "-", str(image), *_PACKING], env, stream.fileno(), around=owner)
    tar.unlink()
    return Built(image, _installed(listing))


def _own_mounts() -> list[str]:
    """As root, mmdebstrap mounts /proc and /sys in the tree: those mounts end with it."""
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
    return own if os.geteuid() == 0 else []


_PACKING = (
    "-tar",
    "-comp",
    "zstd",
    "-Xcompression-level",
    "15",
    "-b",
    "128K",
    "-no-progress",
    "-quiet",
    "-noappend",
)


def squash(directory: Path, image: Path) -> None:
    """A directory as a squashfs that depends on nothing but names, contents and what may be executed."""
    # Not on the umask of whoever builds.
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    env = {key: value for key, value in os.environ.items() if key != "SOURCE_DATE_EPOCH"}
    stamp = str(recipe.EPOCH)
    packing = [word for word in _PACKING if word != "-tar"]
    _run(
        [
            "mksquashfs",
            str(directory),
            str(image),
            *packing,
            "-all-root",
            "-all-time",
            stamp,
            "-mkfs-time",
            stamp,
            "-no-xattrs",
        ],
        env,
    )


def _options(listing: Path) -> list[str]:
    # Without root, mmdebstrap works in a user namespace; where the host forbids those it says so.
    mode = "root" if os.geteuid() == 0 else "unshare"
    options = [
        f"--mode={mode}",
        "--variant=essential",
        "--architectures=amd64",
        f"--include={','.join(recipe.PACKAGES)}",
    ]
    # What is lost when the power fails is built again.
    options += ["--dpkgopt=force-unsafe-io"]
    # apt's own user owns its directories only where that user could reach the place we build in.
    options += ['--aptopt=APT::Sandbox::User "root"', '--aptopt=Acquire::GzipIndexes "false"']
    options += ['--aptopt=Apt::Install-Recommends "false"', '--aptopt=Acquire::Languages "none"']
    options += [f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.LEAVE_OUT]
    options += [f"--dpkgopt=path-include={pattern}" for pattern in recipe.KEEP]
    # The hook as text, and copies through mmdebstrap's own pipe: in a user namespace our directories may be closed.
    script = (recipe.DATA / "finish-root").read_text().replace("@UNUSED@", " ".join(recipe.UNUSED))
    return [
        *options,
        f"--customize-hook=copy-out /var/lib/apt/lists {listing}",
        f"--customize-hook={script}",
        f"--customize-hook=copy-out /etc/pollbench-packages {listing}",
    ]


def _installed(listing: Path) -> dict[str, list[str]]:
    offered = apt.read_packages(sorted((listing / "lists").glob("*_Packages")))
    found = {}
    for line in (listing / "pollbench-packages").read_text().splitlines():
        name, version = line.split()
        known = offered.get(name)
        found[name] = [version, known.sha256 if known is not None and known.version == version else ""]
    shutil.rmtree(listing)
    return found


def _run(
    argv: list[str], env: dict[str, str], stdin: int = subprocess.DEVNULL, around: Sequence[str] = ()
) -> None:
    """A program that ends with us, however we end. around: a command in whose hands it runs. Raises PollbenchError."""
    bound = [str(loadgen.path()), *launch_options(None, {}), "exec", "--", *around, *argv]
    try:
        done = subprocess.run(
            bound, env=env, stdin=stdin, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise PollbenchError(f"run {argv[0]}", got=f"no end after {_TIMEOUT_S} s") from None
    if done.returncode:
        apt.check_space(argv[0], done.stderr)
        last = " | ".join(done.stderr.strip().splitlines()[-4:])
        todo = (
            "as another user than root it needs the package uidmap and user namespaces"
            if os.geteuid() and argv[0] == "mmdebstrap"
            else ""
        )
        raise PollbenchError(f"run {argv[0]}", got=f"exit code {done.returncode}: {last}", todo=todo)
