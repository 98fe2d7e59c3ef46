"""Writes a cpio archive (newc) in one reproducible form: sorted, owned by root, no times."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A file, directory or symbolic link (data is its target), with its mode's type and permissions."""

    mode: int
    data: bytes = b""


def directory() -> Entry:
    """A directory for everybody to enter."""
    return Entry(stat.S_IFDIR | 0o755)


def executable(data: bytes) -> Entry:
    """A program."""
    return Entry(stat.S_IFREG | 0o755, data)


def plain(data: bytes) -> Entry:
    """A file."""
    return Entry(stat.S_IFREG | 0o644, data)


def link(target: str) -> Entry:
    """A symbolic link."""
    return Entry(stat.S_IFLNK | 0o777, target.encode())


def pack(entries: Mapping[str, Entry]) -> bytes:
    """The archive; names are relative, and a directory has to be there before what lies in it (sorting does that)."""
    out = bytearray()
    for number, name in enumerate(sorted(entries), 1):
        _add(out, number, name, entries[name])
    _add(out, 0, "TRAILER!!!", Entry(0))
    return bytes(out) + b"\0" * (-len(out) % 512)


def _add(out: bytearray, number: int, name: str, entry: Entry) -> None:
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    size, name_size = len(entry.data), len(name) + 1
    fields = (number, entry.mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0)
    out += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    out += b"\0" * (-len(out) % 4)
    out += entry.data
    out += b"\0" * (-len(out) % 4)
