"""Which software a measurement was made with: distribution, Python, libraries, our own commit."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from harness.kernel.cpufacts import Json
from harness.kernel.hostfiles import HostFiles

LIBRARIES = ("pollbench", "numpy", "pandas", "pyarrow", "pydantic", "pyroute2", "pyyaml", "rich")
CHECKOUT = Path(__file__).resolve().parents[2]


def versions(files: HostFiles) -> dict[str, Json]:
    """Versions of the distribution, Python and the libraries, without importing any of them."""
    by_name: dict[str, Json] = {
        "distribution": files.fields("/etc/os-release", "=").get("PRETTY_NAME"),
        "python": platform.python_version(),
        "libc": " ".join(platform.libc_ver()).strip() or None,
    }
    for name in LIBRARIES:
        try:
            by_name[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            by_name[name] = None
    return by_name


def git_commit(checkout: Path = CHECKOUT) -> dict[str, Json]:
    """Commit of our checkout and whether tracked files differ from it; both None for an installed package."""
    if not (checkout / ".git").exists():
        return {"commit": None, "modified": None}
    commit = _git(checkout, "rev-parse", "HEAD")
    changes = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "modified": None if changes is None else bool(changes)}


def commit_at(path: Path) -> str | None:
    """The commit that is checked out where this file is; None outside of any checkout, or without git.

    Whether files differ from it is not asked: that can start programs which the checkout's configuration names.
    """
    top = next((above for above in path.resolve().parents if (above / ".git").exists()), None)
    return _git(top, "rev-parse", "HEAD") if top else None


def _git(checkout: Path, *arguments: str) -> str | None:
    # Under sudo the checkout belongs to another user, whom git would not trust; we run none of its hooks. And
    # reading must not refresh the index, which would then belong to root.
    trust = ("-c", f"safe.directory={checkout}", "-c", "core.fsmonitor=false", "--no-optional-locks")
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *trust, *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
