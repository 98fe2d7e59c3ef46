"""Writes a cpio archive (newc) in one reproducible form: sorted, owned by root, no times."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Member(NamedTuple):
    """A file, directory or symbolic link (data is its target), with its mode's type and permissions."""

    mode: int
    data: bytes = b""


DIRECTORY = Member(stat.S_IFDIR | 0o755)
_END = "TRAILER!!!"


def executable(data: bytes) -> Member:
    """A file that everybody may execute."""
    return Member(stat.S_IFREG | 0o755, data)


def plain(data: bytes) -> Member:
    """A file that everybody may read."""
    return Member(stat.S_IFREG | 0o644, data)


def link(target: str) -> Member:
    """A symbolic link to `target`, taken as it is written."""
    return Member(stat.S_IFLNK | 0o777, target.encode())


def pack(members: Mapping[str, Member]) -> bytes:
    """The archive. Names are relative; a directory has to be among them, and sorts before what lies in it."""
    numbered = enumerate(sorted(members.items()), 1)
    pieces = [piece for number, (name, member) in numbered for piece in _pieces(number, name, member)]
    whole = b"".join([*pieces, *_pieces(0, _END, Member(0))])
    return whole + _padding(whole, 512)


def _pieces(number: int, name: str, member: Member) -> Iterator[bytes]:
    links = 2 if stat.S_ISDIR(member.mode) else 1
    fields = (number, member.mode, 0, 0, links, 0, len(member.data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    yield from (head, _padding(head, 4), member.data, _padding(member.data, 4))


def _padding(data: bytes, unit: int) -> bytes:
    return b"\0" * (-len(data) % unit)
