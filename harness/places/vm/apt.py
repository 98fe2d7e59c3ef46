"""Debian packages from the mirror that this host's apt uses, through mmdebstrap; this host's own apt is not touched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from harness.errors import MissingError, PollbenchError
from harness.places.vm import programs

Packages = dict[str, list[str]]
"""Package name to [version, SHA-256 of its .deb]."""
PUBLIC_MIRROR = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LIST = (
    "APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get >&2 --print-uris -qq -y "
    "-o Acquire::ForceHash=sha256 -o Dir::Cache::archives=/nonexistent"
)
"""In a hook, before apt-get's command: print the packages that it would fetch, for packages_in().

There is no archive, or apt would pass over what it has fetched. On standard error: a hook's standard output is
the pipe for the tree.
"""
# They remain in the root's /etc/apt: other words are another image. apt's own user owns its directories only where
# that user could reach the place we build in.
_SETTINGS = (
    'APT::Sandbox::User "root"',
    'Acquire::GzipIndexes "false"',
    'Apt::Install-Recommends "false"',
    'Acquire::Languages "none"',
)
_URI = re.compile(r"^'\S+' (?P<name>[^_\s]+)_(?P<version>[^_\s]+)_\w+\.deb \d+ SHA256:(?P<sha256>\w{64})$", re.M)
_TIMEOUT_S = 1800


def mirror() -> str:
    """The Debian mirror of this host's apt; the public one where it has none (Ubuntu, or no apt)."""
    try:
        uris = programs.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"])
    except PollbenchError:
        return PUBLIC_MIRROR
    mirrors = [uri.rstrip("/") for uri in uris.split()]
    return next((uri for uri in mirrors if uri.endswith("/debian")), PUBLIC_MIRROR)


def packages_in(output: str) -> Packages:
    """The packages in the output of LIST; other lines are passed over."""
    return {match["name"]: [unquote(match["version"]), match["sha256"]] for match in _URI.finditer(output)}


def mmdebstrap(
    options: Sequence[str],
    packages: Iterable[str],
    suites: Sequence[str],
    target: Path,
    env: Mapping[str, str] | None = None,
    todo: str = "",
) -> Packages:
    """Make `target` (a tar archive or a directory) of packages and of what they need; the packages that a hook listed.

    suites: where from; the first is the target's own. todo: what to advise when it fails. apt checks the mirror's
    signature and the hash of every file that it fetches. Raises MissingError, PollbenchError.
    """
    if not KEYRING.exists():
        got, advice = f"{KEYRING} is missing", "apt install debian-archive-keyring"
        raise MissingError("fetch Debian packages", got=got, todo=advice)
    uri = mirror()
    # As a file, of this name: so it remains in the root's /etc/apt.
    sources = target.with_name("sources.list")
    sources.write_text("".join(f"deb [signed-by={KEYRING}] {uri} {suite} main\n" for suite in suites))
    argv = ["mmdebstrap", "--architectures=amd64", f"--include={','.join(packages)}"]
    argv += [f"--aptopt={setting}" for setting in _SETTINGS]
    argv += [*options, suites[0], str(target), str(sources)]
    # As root it mounts /proc and /sys in the tree: in a namespace of its own those mounts end with it.
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
    inside = [] if os.geteuid() else own
    output = programs.run(argv, env=env, inside=inside, with_errors=True, todo=todo, timeout_s=_TIMEOUT_S)
    return packages_in(output)


def extract(packages: Sequence[str], suites: Sequence[str], tree: Path) -> Packages:
    """Unpack packages and all that they depend on into a new directory, without privilege; none is installed.

    A package may be named with its suite: "linux-image-amd64/bookworm". Raises MissingError, PollbenchError.
    """
    # chrootless is as good where nothing is run in the tree, and needs no user namespace.
    mode = "chrootless" if os.geteuid() else "root"
    hook = f"{LIST} install {' '.join(packages)}"
    options = ["--variant=extract", "--format=directory", f"--mode={mode}", f"--extract-hook={hook}"]
    return mmdebstrap(options, packages, suites, tree)
