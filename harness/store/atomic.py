"""Whole or not at all: files and directories that appear under their name only when they are on the disk.

Root writes where somebody else may rename and link at the same time. So a directory is opened part by part, no part a
symbolic link, and what is made in it is made through its descriptor, not by its name.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import PollbenchError

Owner = tuple[int, int]
"""User and group id that files are given to: the person who typed sudo."""

TMP = ".tmp-"
"""Every name that starts so is unfinished: no reader looks at it."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def explained(attempted: str, on: Path, *, keep: str = "finished runs are kept") -> Iterator[None]:
    """Turn an OSError into a PollbenchError that says what to do next."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            todo = f"{keep}; free some space there and go on with --resume"
        elif error.errno == errno.ELOOP:
            todo = "remove what stands in its place, or choose another directory with -o"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            todo = "choose a directory you can write to with -o"
        else:
            todo = keep
        raise PollbenchError(attempted, on=str(on), got=error.strerror or str(error), todo=todo) from error


class Folder:
    """A directory held open. What is made in it is made there, wherever its name leads by then, and given to `owner`.

    Names are plain, without a slash; every method raises OSError.
    """

    def __init__(self, fd: int, owner: Owner | None) -> None:
        self._fd, self._owner = fd, owner

    def write_file(self, name: str, data: bytes) -> None:
        """Write a file so that a reader, or a crash, finds either the old content or the new."""
        with self._aside(name) as aside:
            self._write_new(self._fd, aside, data)

    def write_directory(self, name: str, files: Mapping[str, bytes]) -> None:
        """Make a directory that holds `files`, all of it or nothing.

        Raises FileExistsError (ENOTEMPTY) when it is there already and holds anything.
        """
        with self._aside(name) as aside:
            self.make(aside)
            with _opened(aside, self._fd) as inside:
                for inner, data in files.items():
                    self._write_new(inside, inner, data)
                os.fsync(inside)

    def make(self, name: str) -> None:
        """Make an empty directory; where it cannot be given away, there is none."""
        os.mkdir(name, dir_fd=self._fd)
        try:
            self._give(name)
        except OSError:
            with suppress(OSError):
                os.rmdir(name, dir_fd=self._fd)
            raise

    def discard(self, name: str) -> None:
        """Remove a file, a link, or a directory with all that is in it; none may be there."""
        try:
            mode = os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(mode):
            shutil.rmtree(name, dir_fd=self._fd)
        else:
            os.unlink(name, dir_fd=self._fd)

    def rename(self, old: str, new: str) -> None:
        """Give another name; a directory never takes the place of one that holds anything."""
        os.rename(old, new, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def take_in(self, source: str, name: str) -> None:
        """Move a directory of ours, by its path, to a name in here."""
        os.rename(source, name, dst_dir_fd=self._fd)
        self._give(name)

    def names(self) -> list[str]:
        """What is in it, sorted."""
        return sorted(os.listdir(self._fd))

    def holds(self, name: str, *, directory: bool = False) -> bool:
        """Is there anything of this name, were it a link that leads nowhere? directory: one that is no link."""
        try:
            mode = os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return False
        return stat.S_ISDIR(mode) if directory else True

    def sync(self) -> None:
        """Put its names on the disk."""
        os.fsync(self._fd)

    @contextmanager
    def _aside(self, name: str) -> Iterator[str]:
        """A name for what is made in the block; at its end that takes the place of `name`, or is gone."""
        aside = f"{TMP}{name}-{os.getpid()}"
        try:
            self.discard(aside)
            yield aside
            # Renaming onto a directory that holds something is refused by the kernel: nothing is overwritten.
            self.rename(aside, name)
        except BaseException:
            # Best effort, on the way out of a failure that is reported already.
            with suppress(OSError):
                self.discard(aside)
            raise
        self.sync()

    def _write_new(self, directory: int, name: str, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(name, flags, 0o644, dir_fd=directory)
        with open(handle, "wb", buffering=0) as file:
            if self._owner is not None:
                os.fchown(handle, *self._owner)
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            os.fsync(handle)

    def _give(self, name: str) -> None:
        if self._owner is not None:
            os.chown(name, *self._owner, dir_fd=self._fd, follow_symlinks=False)


@contextmanager
def folder(path: Path, owner: Owner | None = None, below: Path | None = None) -> Iterator[Folder]:
    """The directory `path` held open for the block. Raises OSError; ELOOP: a part of it is no directory of its own.

    below: a directory above it that a person has named, and which may be reached over links, as that person wants it;
    from there on none is followed. Without it, `path` is what was named.
    """
    with _walked(path, below or path) as fd:
        yield Folder(fd, owner)


@contextmanager
def _walked(path: Path, below: Path) -> Iterator[int]:
    fd = os.open(below, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in path.relative_to(below).parts:
            with _opened(part, fd) as inner:
                os.dup2(inner, fd, inheritable=False)
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _opened(name: str, within: int) -> Iterator[int]:
    """A descriptor of a directory in another one, no link and no ".."."""
    if name in ("..", "."):
        raise OSError(errno.ELOOP, "it leads out of its directory", name)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, dir_fd=within)
    except NotADirectoryError:
        raise OSError(errno.ELOOP, f"{name} is a symbolic link or a file, which is not followed", name) from None
    try:
        yield fd
    finally:
        os.close(fd)


def write_file(path: Path, data: bytes, owner: Owner | None = None, below: Path | None = None) -> None:
    """Write `path` so that a reader, or a crash, finds either the old content or the new. Raises OSError.

    below: as for `folder`.
    """
    with folder(path.parent, owner, below) as directory:
        directory.write_file(path.name, data)


def make_directories(path: Path, owner: Owner | None = None, below: Path | None = None) -> None:
    """Like mkdir -p; only the directories that were made change owner. below: as for `folder`."""
    top = below or path
    for made in reversed([above for above in (top, *top.parents) if not above.is_dir()]):
        try:
            os.mkdir(made)
        except FileExistsError:
            if not made.is_dir():
                raise
        else:
            give(made, owner)
    for at, part in enumerate(path.relative_to(top).parts):
        with folder(top.joinpath(*path.relative_to(top).parts[:at]), owner, top) as above, suppress(FileExistsError):
            above.make(part)


def give(path: Path | str, owner: Owner | None) -> None:
    """Give a path we made to its owner; a link is never followed."""
    if owner is not None:
        os.chown(path, *owner, follow_symlinks=False)
