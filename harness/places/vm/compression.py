"""Decompresses what kernels and their modules are packed with."""

from __future__ import annotations

import gzip
import lzma
import subprocess
from pathlib import Path

from harness.errors import PollbenchError
from harness.places.vm import programs

GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\0"
_PROGRAMS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x02\x21\x4c\x18": "lz4"}


def decompressed(data: bytes, source: Path) -> bytes:
    """What a stream holds, by its first bytes; data that is in no known way compressed as it is.

    source: the file that an error names. Raises MissingError without zstd or lz4, PollbenchError for damaged data.
    """
    try:
        if data.startswith(_XZ):
            return lzma.decompress(data)
        if data.startswith(GZIP):
            return gzip.decompress(data)
        program = _PROGRAMS.get(data[:4])
        if program is None:
            return data
        argv = [programs.require(program), "-dcq"]
        return subprocess.run(argv, input=data, capture_output=True, check=True).stdout
    except (OSError, EOFError, lzma.LZMAError, subprocess.CalledProcessError) as error:
        raise PollbenchError("decompress", str(source), str(error)) from None
