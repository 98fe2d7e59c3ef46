"""Where images lie: artefacts in the cache directory, each named by its SHA-256, and an index of what they are."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from harness.errors import PollbenchError
from harness.kernel.filelock import file_lock
from harness.places.vm import programs
from harness.places.vm.apt import Packages
from harness.store.atomic import write_file

_INDEX = "index.json"
_SUMS = "sums.json"
_SCRATCH, _LOCKED = "tmp-", ".lock"
_SOON_S = 0.01
Part = Literal["sha256", "vmlinuz", "modules", "initramfs"]
KERNEL_PARTS: tuple[Part, ...] = ("vmlinuz", "modules", "initramfs")


@dataclass(frozen=True)
class Built:
    """Files just built, by their keys in an index entry, and the packages they were made from.

    Of a kernel set: its release, and the modules asked for that it has neither as files nor built in.
    """

    files: dict[Part, Path]
    packages: Packages
    release: str = ""
    absent: tuple[str, ...] = ()


class IndexEntry(TypedDict, total=False):
    """What one entry of the index tells. Artefacts are named by their SHA-256.

    The root, QEMU and a payload are one artefact, `sha256`; a kernel set is its KERNEL_PARTS and has a `release`.
    recipe: the hash of the recipe that made it. root: the root image whose Python compiled a payload.
    """

    sha256: str
    vmlinuz: str
    modules: str
    initramfs: str
    release: str
    recipe: str
    root: str
    packages: Packages


def _lock_of(scratch: Path) -> Path:
    """The file whose lock says that a scratch directory is in use; there before it is, and gone after it."""
    return scratch.with_name(f".{scratch.name}{_LOCKED}")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def disk_bytes(path: Path) -> int:
    """What a file takes of the disk, of one with holes less than its size; 0 where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0
    return min(status.st_size, 512 * status.st_blocks)


def _index_of(home: Path) -> dict[str, IndexEntry]:
    path = home / _INDEX
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        todo = "pollbench vm clean, then build"
        raise PollbenchError("read the index of images", str(path), str(error), todo) from None
    return document if isinstance(document, dict) else {}


class Home:
    """The cache directory of images. index: image key ("root", "kernel 6.12", "payload ...") to a description.

    One that others own is read only: what is made of its images (payloads, expanded kernels, snapshots) goes to the
    user's own, which is then `path`, and `lent` is the other.
    """

    def __init__(self, path: Path | None = None) -> None:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        own = Path(base) / "pollbench" / "vm"
        self.path = path or Path(os.environ.get("POLLBENCH_VM_HOME") or own)
        self.lent: Path | None = None
        # What was read here before, by all that would be another of another content.
        self._known: dict[tuple[int, ...], str] = {}
        if path is None and self.path != own and self.path.is_dir() and not os.access(self.path, os.W_OK):
            self.path, self.lent = own, self.path

    def prepare(self) -> None:
        """Make the directory. Raises OSError."""
        (self.path / "artefacts").mkdir(parents=True, exist_ok=True)

    def artefact(self, sha256: str) -> Path:
        """Where the artefact of this name lies, or would lie."""
        lent = self.lent / "artefacts" / sha256 if self.lent else None
        return lent if lent and lent.is_file() else self.path / "artefacts" / sha256

    def holds(self, sha256: str) -> bool:
        """Is the artefact of this name here, and is it what its name says? Reads it whole."""
        try:
            return self._sha256(self.artefact(sha256)) == sha256
        except OSError:
            return False

    def _sha256(self, path: Path) -> str:
        """The SHA-256 of a file, read once in the life of this Home unless somebody writes to it. Raises OSError."""
        status = path.stat()
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if key not in self._known:
            self._known[key] = sha256_of(path)
        return self._known[key]

    def _sums(self, tree: Path) -> dict[str, str]:
        files = (path for path in sorted(tree.rglob("*")) if path.is_file())
        return {str(path.relative_to(tree)): self._sha256(path) for path in files}

    def _is_whole(self, directory: Path) -> bool:
        try:
            return bool(json.loads((directory / _SUMS).read_text()) == self._sums(directory / "tree"))
        except (OSError, ValueError):
            return False

    def verified(self, sha256: str, label: str) -> Path:
        """The artefact, after reading it whole, once in the life of this Home.

        Raises PollbenchError when it is gone or is not what its name says.
        """
        path = self.artefact(sha256)
        todo = "build it again: pollbench vm build"
        try:
            actual = self._sha256(path)
        except OSError as error:
            raise PollbenchError(f"read the {label}", str(path), error.strerror or str(error), todo) from None
        if actual != sha256:
            got = f"its SHA-256 is {actual[:16]}..., it was damaged"
            raise PollbenchError(f"verify the {label}", str(path), got, todo)
        return path

    def expanded(self, sha256: str, label: str, expand: Callable[[Path, Path], None]) -> Path:
        """What `expand` (from a file, into a directory that is not there) makes of an artefact, kept and verified.

        Both are read whole before their first use; a damaged expansion is made again. Raises PollbenchError.
        """
        source, target = self.verified(sha256, label), self.path / "expanded" / sha256
        for place in [target, *([self.lent / "expanded" / sha256] if self.lent else [])]:
            if self._is_whole(place):
                return place / "tree"
        with self.workshop() as workshop:
            fresh = workshop / "expanded"
            fresh.mkdir()
            expand(source, fresh / "tree")
            (fresh / _SUMS).write_text(json.dumps(self._sums(fresh / "tree")))
            target.parent.mkdir(exist_ok=True)
            try:
                os.rename(fresh, target)
            except OSError:
                # There is one: damaged, unless another process was quicker.
                if not self._is_whole(target):
                    os.rename(target, workshop / "damaged")
                    os.rename(fresh, target)
        return target / "tree"

    def keep(self, path: Path) -> str:
        """Move a finished file in, under its hash; the hash."""
        self.prepare()
        sha256 = sha256_of(path)
        os.chmod(path, 0o444)
        os.replace(path, self.path / "artefacts" / sha256)
        return sha256

    def index(self) -> dict[str, IndexEntry]:
        """What the artefacts are, by key; empty before anything was built. Raises PollbenchError."""
        return _index_of(self.path) | (_index_of(self.lent) if self.lent else {})

    def record(self, key: str, entry: IndexEntry) -> None:
        """Add or replace one entry of the index."""
        document = json.dumps(_index_of(self.path) | {key: entry}, indent=1, sort_keys=True)
        self.prepare()
        write_file(self.path / _INDEX, document.encode() + b"\n")

    @contextlib.contextmanager
    def workshop(self) -> Iterator[Path]:
        """A scratch directory on the cache's own file system, gone at the end. PollbenchError: no room there."""
        try:
            self.prepare()
            self._remove_dead()
            path = self.path / f"{_SCRATCH}{secrets.token_hex(8)}"
            # Whoever looks for dead ones may hold it for a moment.
            with file_lock(_lock_of(path), lambda: time.sleep(_SOON_S)):
                path.mkdir()
                path.chmod(0o755)
                try:
                    yield path
                finally:
                    shutil.rmtree(path, ignore_errors=True)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            got = "no space left on the disk"
            raise PollbenchError("use the cache of images", str(self.path), got, programs.ROOM) from None

    def _remove_dead(self) -> None:
        """Scratch directories that nobody holds: a process id says nothing of a container that shares the cache."""
        locks = (self.path / path.name[1 : -len(_LOCKED)] for path in self.path.glob(f".{_SCRATCH}*{_LOCKED}"))
        for path in {*self.path.glob(f"{_SCRATCH}*"), *locks}:
            with contextlib.suppress(OSError), file_lock(_lock_of(path)) as dead:
                # Never into what somebody mounted in a tree under construction.
                if dead and not any(os.path.ismount(inner) for depth in ("*/*", "*/*/*") for inner in path.glob(depth)):
                    shutil.rmtree(path, ignore_errors=True)

    def clean(self) -> int:
        """Remove everything that was built, imported or saved; how many bytes of the disk that were."""
        files = (file for file in self.path.rglob("*") if file.is_file() and not file.is_symlink())
        size = sum(map(disk_bytes, files))
        shutil.rmtree(self.path, ignore_errors=True)
        return size
