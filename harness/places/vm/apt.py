"""Debian packages from the mirror that this host's apt uses, without privilege and without touching that apt."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from harness.errors import MissingError, PollbenchError
from harness.places.vm import programs

Packages = dict[str, list[str]]
"""Package name to [version, SHA-256 of its .deb]."""
PUBLIC_MIRROR = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_URI = re.compile(
    r"^'\S+' (?P<name>[^_\s]+)_(?P<version>[^_\s]+)_\w+\.deb \d+ SHA256:(?P<sha256>\w{64})$", re.M
)


def mirror() -> str:
    """The Debian mirror of this host's apt; the public one where it has none (Ubuntu, or no apt)."""
    try:
        uris = programs.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"])
    except PollbenchError:
        return PUBLIC_MIRROR
    mirrors = [uri.rstrip("/") for uri in uris.split()]
    return next((uri for uri in mirrors if uri.endswith("/debian")), PUBLIC_MIRROR)


def source_line(suite: str) -> str:
    """One suite of the mirror as a line of a sources.list. Raises MissingError without Debian's keys."""
    if not KEYRING.exists():
        got, todo = f"{KEYRING} is missing", "apt install debian-archive-keyring"
        raise MissingError("fetch Debian packages", got=got, todo=todo)
    return f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n"


def packages_in(uris: str) -> Packages:
    """The packages in the output of apt-get --print-uris with SHA-256 as its hash; other lines are passed over."""
    return {match["name"]: [unquote(match["version"]), match["sha256"]] for match in _URI.finditer(uris)}


class Suite:
    """One suite of the mirror in an apt of its own, below `directory`. Its list of packages is fetched once.

    Raises PollbenchError when the mirror does not answer or lacks a package. apt itself checks the mirror's signature
    and the hash of every file that it fetches.
    """

    def __init__(self, suite: str, directory: Path) -> None:
        self._dir = directory / suite
        if self._dir.exists():
            return
        for part in ("etc/apt/preferences.d", "var/lib/apt", "var/cache/apt"):
            (self._dir / part).mkdir(parents=True)
        (self._dir / "status").touch()
        (self._dir / "etc/apt/sources.list").write_text(source_line(suite))
        self._apt("apt-get", "update", "-q")

    def depends(self, name: str) -> list[str]:
        """The packages that one names in its dependencies, alternatives included."""
        lines = self._apt("apt-cache", "depends", "--important", name).splitlines()
        return [line.split()[-1] for line in lines if "Depends:" in line]

    def packages(self, names: Iterable[str]) -> Packages:
        """These packages as the suite has them."""
        return self._listed("download", *names)

    def closure(self, name: str) -> Packages:
        """A package and all that it depends on, as apt chooses them for a system that has nothing."""
        return self._listed("install", "-y", name)

    def unpack(self, packages: Packages, into: Path) -> None:
        """Fetch packages and unpack their files into a directory that may be there."""
        fetched = self._dir / "fetched"
        fetched.mkdir()
        versions = [f"{name}={version}" for name, (version, _) in packages.items()]
        self._apt("apt-get", "download", "-qq", *versions, cwd=fetched)
        for deb in fetched.iterdir():
            programs.run(["dpkg-deb", "-x", str(deb), str(into)])
            deb.unlink()
        fetched.rmdir()

    def _listed(self, *command: str) -> Packages:
        hashed = ("--print-uris", "-qq", "-o", "Acquire::ForceHash=sha256")
        return packages_in(self._apt("apt-get", *hashed, *command))

    def _apt(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        settings = (
            f"Dir={self._dir}",
            f"Dir::State::status={self._dir / 'status'}",
            "APT::Architecture=amd64",
            "APT::Install-Recommends=false",
            "APT::Sandbox::User=",
            "Acquire::Languages=none",
        )
        options = [word for setting in settings for word in ("-o", setting)]
        return programs.run([program, *options, *arguments], cwd=cwd)
