"""Keeps snapshots in the cache of images: whole and as they were made, or not at all; the least used ones go."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.errors import PollbenchError
from harness.kernel.filelock import file_lock
from harness.places.vm.home import Home, disk_bytes

MOST, MOST_BYTES = 16, 2 << 30
"""How many are kept, and how much of the disk they may take together; one that is in use stays in any case."""
_STATE, _SUM = "state", "sum.json"
_BLOCK = 1 << 20
_ZEROS = bytes(_BLOCK)


class Damaged(PollbenchError):  # noqa: N818  # it is made again
    """A snapshot is not what it was when it was made."""


@dataclass(frozen=True)
class Held:
    """A snapshot that nobody else has meanwhile; state: its file, which another thread reads while QEMU loads it."""

    state: Path
    _whole: Future[bool]

    def confirm(self) -> None:
        """Return when all of it was read and is as it was made. Raises Damaged."""
        if not self._whole.result():
            raise Damaged("resume a guest", str(self.state), "it was damaged", "it is made again")


class Snapshots:
    """The snapshots of a cache, each a directory named by the key of all that it depends on.

    wait: called again and again while another process holds one; it is to take its time, and may raise.
    """

    def __init__(self, home: Home, wait: Callable[[], None]) -> None:
        self._home, self._wait = home, wait
        self.path = home.path / "snapshots"

    @contextlib.contextmanager
    def held(self, key: str, make: Callable[[Path], None]) -> Iterator[Held]:
        """The snapshot of this key, for the block, which is to confirm it before it believes it.

        make: writes it to a file that is not there; called where there is none. One that the block found to be damaged
        is gone after it. Raises what `make` raises, OSError, PollbenchError (no room on the disk).
        """
        directory = self.path / key
        self.path.mkdir(parents=True, exist_ok=True)
        with file_lock(self._lock(directory), self._wait):
            if not directory.exists():
                self._make(directory, make)
                self._prune(directory)
            # When it was used last.
            os.utime(directory)
            with ThreadPoolExecutor(1, "snapshot") as pool:
                try:
                    yield Held(directory / _STATE, pool.submit(_is_whole, directory))
                except Damaged:
                    self._remove(directory)
                    raise

    def drop(self, key: str) -> None:
        """Remove one, unless another process has it: it was of no use. Raises OSError, PollbenchError."""
        with file_lock(self._lock(self.path / key)) as mine:
            if mine and (self.path / key).exists():
                self._remove(self.path / key)

    def sizes(self) -> dict[str, int]:
        """Bytes on the disk of each snapshot, by its key; that used last comes last."""
        with contextlib.suppress(FileNotFoundError):
            directories = [path for path in self.path.iterdir() if path.is_dir()]
            return {path.name: disk_bytes(path / _STATE) for path in sorted(directories, key=_used)}
        return {}

    def _make(self, directory: Path, make: Callable[[Path], None]) -> None:
        with self._home.workshop() as workshop:
            fresh = workshop / "snapshot"
            fresh.mkdir()
            make(fresh / _STATE)
            os.chmod(fresh / _STATE, 0o644)
            (fresh / _SUM).write_text(json.dumps({"sha256": sparse_sha256(fresh / _STATE)}))
            os.rename(fresh, directory)

    def _prune(self, kept: Path) -> None:
        """Remove those that were used longest ago, until the others are within bounds."""
        sizes = self.sizes()
        for name in list(sizes):
            if len(sizes) <= MOST and sum(sizes.values()) <= MOST_BYTES:
                return
            if name != kept.name:
                self.drop(name)
                del sizes[name]

    def _remove(self, directory: Path) -> None:
        """At once under this name: nobody finds half of one."""
        with self._home.workshop() as workshop:
            os.rename(directory, workshop / "removed")

    def _lock(self, directory: Path) -> Path:
        return directory.with_suffix(".lock")


def sparse_sha256(path: Path) -> str:
    """The SHA-256 of a file's size, and of the place and content of each of its blocks that is not all zeros.

    Two files of the same content have the same, whatever of it is holes; holes are not read. Raises OSError.
    """
    total = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        total.update(size.to_bytes(8))
        place = 0
        # One buffer for all: memory that is new is cleared first, which takes as long as reading into it.
        block = bytearray(_BLOCK)
        while (place := _data_from(file.fileno(), place, size)) < size:
            place -= place % _BLOCK
            del block[os.preadv(file.fileno(), [block], place) :]
            if block != _ZEROS[: len(block)]:
                total.update(place.to_bytes(8))
                total.update(block)
            place += _BLOCK
    return total.hexdigest()


def _data_from(fd: int, place: int, end: int) -> int:
    """Where the first data is from a place on; `end` when there is none, however short the file has become."""
    try:
        return os.lseek(fd, place, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return end


def _used(directory: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return directory.stat().st_mtime
    return 0.0


def _is_whole(directory: Path) -> bool:
    try:
        return bool(json.loads((directory / _SUM).read_text())["sha256"] == sparse_sha256(directory / _STATE))
    except (OSError, ValueError, KeyError, TypeError):
        return False
