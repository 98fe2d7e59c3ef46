"""Debian packages from the mirror this host already uses, without privilege and without touching its own apt."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import MissingError, PollbenchError

PUBLIC_MIRROR = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
FULL = os.strerror(errno.ENOSPC)
ROOM = "free 2 GB in the cache directory (XDG_CACHE_HOME names another) and in TMPDIR"
_TIMEOUT_S = 600


@dataclass(frozen=True)
class Package:
    """A package as a suite offers it. depends: names in order of preference, alternatives dropped."""

    name: str
    version: str
    sha256: str
    depends: tuple[str, ...]


def mirror() -> str:
    """The Debian mirror of this host's apt; the public one where it has none (Ubuntu, or no apt)."""
    try:
        told = run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"])
    except PollbenchError:
        return PUBLIC_MIRROR
    found = [line.rstrip("/") for line in told.split()]
    return next((uri for uri in found if uri.endswith("/debian")), PUBLIC_MIRROR)


def source_line(suite: str, uri: str) -> str:
    """One suite as a line of a sources.list. Raises MissingError without Debian's keys."""
    if not KEYRING.exists():
        raise MissingError(
            "fetch Debian packages", got=f"{KEYRING} is missing", todo="apt install debian-archive-keyring"
        )
    return f"deb [signed-by={KEYRING}] {uri} {suite} main\n"


def run(argv: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """A program's output. Raises MissingError when it is not installed, PollbenchError when it fails."""
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise MissingError(
            "build the image", got=f"there is no program {argv[0]}", todo="tools/os-packages.sh vm"
        ) from None
    except subprocess.TimeoutExpired:
        raise PollbenchError(f"run {argv[0]}", got=f"no end after {_TIMEOUT_S} s") from None
    if done.returncode:
        check_space(argv[0], done.stderr)
        last = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise PollbenchError(f"run {argv[0]}", got=f"exit code {done.returncode}: {last}")
    return done.stdout


def check_space(program: str, said: str) -> None:
    """Raises PollbenchError if what a program said of its failure is that a disk is full."""
    if FULL in said:
        raise PollbenchError("build the image", got=f"{program}: no space left on the disk", todo=ROOM)


class Suite:
    """One suite of the mirror in an apt of its own, below `directory`."""

    def __init__(self, suite: str, directory: Path) -> None:
        self.suite, self._dir = suite, directory
        self._known: dict[str, Package] = {}

    def update(self) -> None:
        """Fetch the suite's list of packages. Raises PollbenchError when the mirror does not answer."""
        for part in ("lists/partial", "cache/archives/partial", "state", "etc"):
            (self._dir / part).mkdir(parents=True, exist_ok=True)
        (self._dir / "state/status").touch()
        (self._dir / "etc/sources.list").write_text(source_line(self.suite, mirror()))
        run(["apt-get", *self._options(), "update", "-q"])
        self._known = read_packages(self._dir.glob("lists/*_Packages"))

    def package(self, name: str) -> Package:
        """A package the suite has. Raises PollbenchError."""
        if name not in self._known:
            raise PollbenchError("fetch a package", on=name, got=f"the suite {self.suite} does not have it")
        return self._known[name]

    def closure(self, name: str) -> list[str]:
        """A package and all that it depends on, as apt chooses them for a system that has nothing."""
        told = run(
            ["apt-get", *self._options(), "-o", "APT::Install-Recommends=false", "-s", "install", name]
        )
        return sorted(line.split()[1] for line in told.splitlines() if line.startswith("Inst "))

    def unpack(self, names: Iterable[str], into: Path) -> list[Package]:
        """Fetch packages, check their hashes, and unpack their files, unprivileged. Raises PollbenchError."""
        packages = [self.package(name) for name in names]
        wanted = [f"{each.name}={each.version}" for each in packages]
        run(["apt-get", *self._options(), "download", "-q", *wanted], cwd=self._dir)
        into.mkdir(parents=True, exist_ok=True)
        for each in packages:
            (found,) = self._dir.glob(f"{each.name}_*.deb")
            if hashlib.sha256(found.read_bytes()).hexdigest() != each.sha256:
                raise PollbenchError(
                    "fetch a package", each.name, "its SHA-256 is not what the suite's list says"
                )
            run(["dpkg-deb", "-x", str(found), str(into)])
            found.unlink()
        return packages

    def _options(self) -> list[str]:
        places = {
            "Dir::Etc::sourcelist": self._dir / "etc/sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State": self._dir / "state",
            "Dir::State::lists": self._dir / "lists",
            "Dir::State::status": self._dir / "state/status",
            "Dir::Cache": self._dir / "cache",
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::GzipIndexes": "false",
        }
        return [word for key, value in places.items() for word in ("-o", f"{key}={value}")]


def read_packages(lists: Iterable[Path]) -> dict[str, Package]:
    """The packages that apt's lists name."""
    found = {}
    for path in lists:
        for fields in _stanzas(path):
            depends = tuple(word.split()[0] for word in fields.get("Depends", "").split(",") if word.strip())
            found[fields["Package"]] = Package(
                fields["Package"], fields["Version"], fields.get("SHA256", ""), depends
            )
    return found


def _stanzas(path: Path) -> Iterator[dict[str, str]]:
    wanted = ("Package", "Version", "SHA256", "Depends")
    for stanza in path.read_text(errors="replace").split("\n\n"):
        pairs = (line.partition(": ") for line in stanza.split("\n"))
        fields = {key: value for key, _, value in pairs if key in wanted}
        if "Package" in fields and "Version" in fields:
            yield fields


def has_program(name: str) -> bool:
    """Is it on the path?"""
    return shutil.which(name) is not None
