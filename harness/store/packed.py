"""Compressed files: told by their first bytes, whatever they are called, and read as if they were not compressed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

FIRST_BYTES = 6
"""So many of a file's first bytes tell."""
DAMAGED = (EOFError, lzma.LZMAError, zlib.error, ValueError)
"""What reading a damaged one raises beside OSError; pyarrow's own error is a ValueError."""

Source = Path | IO[bytes]
_CHUNK_BYTES = 1 << 24


def _zstd(source: Source) -> Any:
    # Python has zstd of its own from 3.14 on; pyarrow, which reads Parquet with the same codec, is there anyway.
    import pyarrow

    return pyarrow.input_stream(str(source) if isinstance(source, Path) else source, compression="zstd")


_OPENERS: dict[bytes, Callable[[Source], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\0": lzma.open,
    b"BZh": bz2.open,
    b"\x28\xb5\x2f\xfd": _zstd,
}


def unpacker(first: bytes) -> Callable[[Source], IO[bytes]] | None:
    """What opens a file that begins so, to read what was compressed (gzip, xz, bzip2, zstd); None: it is not."""
    return next((opener for magic, opener in _OPENERS.items() if first.startswith(magic)), None)


def read_most(packed: IO[bytes], most: int) -> bytes:
    """All that it unpacks to, read no further than some bytes beyond `most`. Raises OSError and what DAMAGED lists."""
    pieces, size = [], 0
    while size <= most and (piece := packed.read(_CHUNK_BYTES)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)
