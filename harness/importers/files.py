"""The files below a path, and their text line by line: any encoding, any length, links never followed in circles."""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from harness.errors import InputError
from harness.formats.text import Line, plain, without_colour
from harness.store import packed

MAX_LINE = 4 << 20
"""Characters of one line that are read; a compressed histogram of any real size fits."""

MAX_BYTES = 4 << 30
"""Bytes of a compressed file that are read: a few thousand can stand for any number."""

MAX_FILES = 200_000
HEAD = 4096
PACKED = (".gz", ".xz", ".zst", ".bz2")
"""Endings of compressed files; what they are is told by their first bytes."""


@dataclass(frozen=True)
class SourceFile:
    """One regular file, compressed or not. name: its path below what was named, printable."""

    path: Path
    name: str
    bytes: int

    def lines(self) -> Iterator[Line]:
        """Its lines; undecodable bytes become U+FFFD, colour is taken off. Raises OSError."""
        encoding = _encoding(_beginning(self.path))
        with _opened(self.path) as raw:
            text = io.TextIOWrapper(io.BufferedReader(_Bounded(raw)), encoding, errors="replace")
            for number, piece in enumerate(iter(lambda: text.readline(MAX_LINE), ""), 1):
                cut = not piece.endswith("\n") and len(piece) == MAX_LINE
                while cut and (rest := text.readline(MAX_LINE)) and not rest.endswith("\n"):
                    pass
                ended = cut or piece.endswith("\n")
                yield Line(number, without_colour(piece.rstrip("\r\n")), cut, ended)

    def head(self) -> str:
        """The first characters, for sniffing; empty when it cannot be read."""
        try:
            data = _beginning(self.path)
        except OSError:
            return ""
        return without_colour(data.decode(_encoding(data), "replace"))

    def stem(self) -> str:
        """Its name without the ending of a compressed file."""
        return next((self.name.removesuffix(end) for end in PACKED if self.name.endswith(end)), self.name)

    def sha256(self) -> str:
        """Its digest. Raises OSError."""
        with open(self.path, "rb") as raw:
            return hashlib.file_digest(raw, "sha256").hexdigest()


def _opened(path: Path) -> IO[bytes]:
    with open(path, "rb") as raw:
        unpack = packed.unpacker(raw.read(packed.FIRST_BYTES))
    return open(path, "rb") if unpack is None else unpack(path)


def _beginning(path: Path) -> bytes:
    with _opened(path) as raw:
        return _Bounded(raw).read(HEAD) or b""


class _Bounded(io.RawIOBase):
    """At most MAX_BYTES of a file."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self._left = raw, MAX_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            data = self._raw.read(min(len(buffer), self._left))
        except (*packed.DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise OSError(f"the compressed file is damaged or cut short: {error}") from error
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


@dataclass
class SourceFiles:
    """The files below a path in the order of their names, and what could not be taken (name, why)."""

    root: Path
    files: list[SourceFile] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def gather(path: str | Path) -> SourceFiles:
    """The regular files at or below `path`. Raises InputError when there is no such path."""
    root = Path(path)
    files = SourceFiles(root)
    try:
        is_directory = stat.S_ISDIR(os.stat(root).st_mode)
    except (OSError, ValueError) as error:
        raise InputError("import", on=str(path), got=getattr(error, "strerror", "") or str(error)) from error
    if is_directory:
        _walk(files)
    else:
        _take(files, root, plain(root.name))
    return files


def _walk(files: SourceFiles) -> None:
    def unreadable(error: OSError) -> None:
        files.skipped.append((_below(files.root, Path(error.filename)), error.strerror or "unreadable"))

    # Directory links are not followed: they lead in circles, or out of what the user named.
    for top, directories, names in os.walk(files.root, onerror=unreadable, followlinks=False):
        if top != str(files.root) and {"manifest.json", "plan.json"} <= set(names):
            files.skipped.append((_below(files.root, Path(top)), "a result set of pollbench's own is left out"))
            directories.clear()
            continue
        directories.sort()
        for name in directories:
            if os.path.islink(os.path.join(top, name)):
                where = _below(files.root, Path(top, name))
                files.skipped.append((where, "a link to a directory is not followed"))
        for name in sorted(names):
            if len(files.files) >= MAX_FILES:
                files.skipped.append((".", f"there are more than {MAX_FILES} files; the rest is left out"))
                return
            _take(files, Path(top, name), _below(files.root, Path(top, name)))


def _take(files: SourceFiles, path: Path, name: str) -> None:
    try:
        status = os.stat(path)
    except OSError as error:
        files.skipped.append((name, error.strerror or str(error)))
        return
    # Opening a FIFO would wait for ever, and a device may do anything.
    if not stat.S_ISREG(status.st_mode):
        files.skipped.append((name, "it is no regular file"))
        return
    files.files.append(SourceFile(path, name, status.st_size))


def _below(root: Path, path: Path) -> str:
    return plain(str(path.relative_to(root)))


def _encoding(head: bytes) -> str:
    """By its byte order mark; without one, zeros in every other byte are UTF-16, all else is read as UTF-8."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return name
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, others = head[first::2], head[1 - first :: 2]
        if zeros and zeros.count(0) > 0.9 * len(zeros) and others.count(0) < 0.1 * len(others) + 1:
            return name
    return "utf-8"
