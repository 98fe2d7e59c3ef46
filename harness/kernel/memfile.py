"""A file without a name, that children reach by its descriptor: nothing to clean up, whatever happens."""

from __future__ import annotations

import os
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
        """All that was written to it so far; bytes that are no UTF-8 become U+FFFD."""
        return self.data().decode(errors="replace")

    def data(self) -> bytes:
        """All that was written to it so far. Raises OSError."""
        size = os.fstat(self.fd).st_size
        data = os.pread(self.fd, size, 0)
        while len(data) < size:  # one read(2) moves at most 2 GiB
            more = os.pread(self.fd, size - len(data), len(data))
            if not more:
                break
            data += more
        return data
