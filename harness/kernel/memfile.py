"""A file without a name, that children reach by its descriptor: nothing to clean up, whatever happens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self


class MemoryFile:
    """Open for the length of the `with` block."""

    def __init__(self, label: str) -> None:
        self.fd = os.memfd_create(label, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def path(self) -> str:
        """The path by which a child that inherits the descriptor opens it."""
        return f"/dev/fd/{self.fd}"

    def text(self) -> str:
        """All that was written to it so far; bytes that are no UTF-8 become U+FFFD. Raises OSError."""
        return Path(self.path()).read_bytes().decode(errors="replace")
