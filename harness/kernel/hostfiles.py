"""Tolerant reading of the host's own files below a root that tests can replace: what is missing is None."""

from __future__ import annotations

import os
from pathlib import Path

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class HostFiles:
    """The files of one host. Every reader returns None (or nothing) where the file is missing or refused."""

    def __init__(self, root: Path | str = "/") -> None:
        self.root = Path(root)

    def path(self, name: str) -> Path:
        """Where an absolute name such as "/proc/cpuinfo" lies below the root."""
        return self.root / name.lstrip("/")

    def bytes(self, name: str) -> bytes | None:
        """The whole file."""
        try:
            return self.path(name).read_bytes()
        except OSError:
            return None

    def text(self, name: str) -> str | None:
        """The whole file, stripped; bytes that are no UTF-8 are replaced."""
        raw = self.bytes(name)
        return None if raw is None else raw.decode(errors="replace").strip()

    def number(self, name: str) -> int | None:
        """A file that holds one whole number."""
        try:
            return int(self.text(name) or "")
        except ValueError:
            return None

    def chosen(self, name: str) -> str | None:
        """The choice in brackets of a file such as "always [madvise] never"; the whole text where none is."""
        text = self.text(name)
        if text and "[" in text:
            return text.partition("[")[2].partition("]")[0]
        return text

    def flag(self, name: str) -> bool | None:
        """A file that holds 0 or 1."""
        number = self.number(name)
        return None if number is None else number != 0

    def cpus(self, name: str) -> list[int] | None:
        """A file that holds a CPU list such as "0-3,8"; an empty list is [], a missing file None."""
        text = self.text(name)
        return None if text is None else parse_cpu_list(text)

    def names(self, directory: str) -> list[str]:
        """The sorted entries of a directory."""
        try:
            return sorted(os.listdir(self.path(directory)))
        except OSError:
            return []

    def fields(self, name: str, separator: str = ":") -> dict[str, str]:
        """A file of "key: value" lines; of a repeated key the first counts."""
        found: dict[str, str] = {}
        for line in (self.text(name) or "").splitlines():
            key, _, value = line.partition(separator)
            found.setdefault(key.strip(), value.strip().strip('"'))
        return found


def parse_cpu_list(text: str) -> list[int]:
    """The kernel's own CPU list format ("0-3,8", "" for none); pieces that make no sense are left out."""
    cpus: set[int] = set()
    for piece in text.replace("\n", ",").split(","):
        first, _, last = piece.strip().partition("-")
        if first.isdigit() and (last.isdigit() or not last):
            cpus.update(range(int(first), int(last or first) + 1))
    return sorted(cpus)
