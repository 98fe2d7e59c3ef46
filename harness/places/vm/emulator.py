"""Which QEMU runs the guests: the provided one, the same on every host; this host's own; or one by its path."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import InputError, MissingError
from harness.places.vm.home import Home
from harness.places.vm.squashfs import unsquash
from harness.spec.links import emulated

PROGRAM = "qemu-system-x86_64"
KEY = "qemu"
"""The entry of the index for the provided QEMU."""
LEAST = (7, 0)
_BUILD = "`pollbench vm build`"


@dataclass(frozen=True)
class Qemu:
    """A QEMU: how to start it, its version in full and where it came from (provided, host, or its path).

    sha256: the artefact of a provided one.
    """

    argv: tuple[str, ...]
    version: str
    origin: str
    sha256: str = ""

    @property
    def number(self) -> tuple[int, int]:
        """The first two parts of the version."""
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)

    def label(self) -> str:
        """In words, as the column and the terminal show it."""
        return f"QEMU {self.version} ({self.origin})"

    def account(self) -> dict[str, str]:
        """What a result set records of it."""
        return {"version": self.version, "origin": self.origin, "sha256": self.sha256}

    def lacks_nic(self, model: str) -> str:
        """Why it cannot make a NIC model; empty when it can."""
        since = emulated(model).since
        if self.number >= since:
            return ""
        came = f"it came with QEMU {since[0]}.{since[1]}"
        return f"QEMU {self.version} has no {model}: {came}; {_BUILD} provides a newer one"

    def lacks_cpus(self, cpus: int, release: str, accelerator: str) -> str:
        """Why it cannot start so many CPUs of a kernel under an accelerator; empty when it can.

        Counting instructions, QEMU before 8.1 gives a CPU all the time until the next timer, and a kernel before 6.5
        starts its CPUs by a handshake in which each spins for the other: 6.1 never comes up with 7.2, but with 10.0.
        """
        version = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
        if accelerator != "tcg-virtual" or cpus == 1 or version >= (6, 5) or self.number >= (8, 1):
            return ""
        return (
            f"QEMU {self.version} cannot start a second CPU of kernel {release} under tcg-virtual: {_BUILD} provides a "
            "newer one; or take vm.cpus: 1, or a kernel from 6.5 on"
        )


def find_emulator(home: Home, asked: str = "") -> Qemu:
    """The QEMU for `provided`, `host` or a path; for "" the provided one if it was built, else the host's.

    Raises MissingError when there is none or it is too old, InputError for a path that is none.
    """
    entry = home.index().get(KEY)
    if entry is not None and asked in ("", "provided"):
        return _unpacked(home, entry["sha256"])
    if asked == "provided":
        raise MissingError("use the provided QEMU", got="it is not built", todo=f"type: {_BUILD}")
    if asked in ("", "host"):
        if shutil.which(PROGRAM) is None:
            todo = f"{_BUILD} provides one; or install this system's (apt install qemu-system-x86)"
            raise MissingError("start a guest", got=f"there is no {PROGRAM}", todo=todo)
        return _asked((PROGRAM,), "host")
    if "/" not in asked or shutil.which(asked) is None:
        got = "it is no program" if "/" in asked else "it is neither a path nor one of provided, host"
        raise InputError("choose a QEMU", asked, got, f"name a {PROGRAM}", where="--qemu")
    return _asked((asked,), asked)


def same_emulator(home: Home, recorded: object, asked: str = "") -> tuple[Qemu, str]:
    """(the QEMU that a result set was made with, if it is here; in words how the one taken differs, if it does).

    asked: what the user wants in its place. Raises MissingError, InputError.
    """
    before = recorded if isinstance(recorded, Mapping) else {}
    pinned = str(before.get("sha256", ""))
    if asked:
        emulator = find_emulator(home, asked)
    elif pinned and home.artefact(pinned).exists():
        emulator = _unpacked(home, pinned)
    else:
        on_host = before.get("origin") == "host" and shutil.which(PROGRAM)
        emulator = find_emulator(home, "host" if on_host else "")
    if emulator.sha256 == pinned if pinned else emulator.version == before.get("version"):
        return emulator, ""
    was = f"QEMU {before.get('version', 'of unknown version')} ({before.get('origin', 'host')})"
    return (emulator, f"the set was made under {was}, this runs under {emulator.label()}: model time may differ")


def _unpacked(home: Home, sha256: str) -> Qemu:
    """The provided QEMU, started by the C library it came with: nothing of this host's is loaded."""
    tree = home.expanded(sha256, KEY, unsquash)
    loader, libraries = str(tree / "lib/ld-linux-x86-64.so.2"), str(tree / "lib")
    start = (loader, "--library-path", libraries, "--argv0", PROGRAM, str(tree / "bin" / PROGRAM))
    return _asked((*start, "-L", str(tree / "share")), "provided", sha256)


def _asked(argv: tuple[str, ...], origin: str, sha256: str = "") -> Qemu:
    """The QEMU that `argv` starts, with the version that it reports. Raises MissingError."""
    try:
        done = subprocess.run([*argv, "--version"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError("start a guest", on=origin, got=str(error)) from None
    match = re.search(r"version (\d+\.\d+(?:\.\d+)?)", done.stdout)
    if match is None:
        got = f"it does not tell its version ({(done.stdout or done.stderr)[:120]!r})"
        raise MissingError("start a guest", on=origin, got=got)
    emulator = Qemu(argv, match[1], origin, sha256)
    if emulator.number < LEAST:
        todo = f"{_BUILD} provides a newer one; or install QEMU {LEAST[0]}.{LEAST[1]} or newer"
        raise MissingError("start a guest", got=f"QEMU {emulator.version} is too old", todo=todo)
    return emulator
