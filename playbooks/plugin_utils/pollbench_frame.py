"""What a host printed, taken out of all else that came with it, and runs that came whole put on the disk."""

from __future__ import annotations

import base64
import binascii
import gzip
import os
import shutil
import zlib

# What a command prints is read off a stream that others print on too: a banner, a locale's warning, what .bashrc says.
# So it comes between marks that nobody else knows, and packed by gzip, which tells whether it is whole.
FRAME = """\
exec 3>&1; printf '\\n%s<\\n' {mark}
e=$({{ {{ (
{text}
) 3>&-; printf '\\n%s' "$?"; }} | gzip -1 3>&- | base64 >&3 3>&-; }} 2>&1 | tail -c 3000)
printf '\\n%s|\\n' {mark}; printf %s "$e" | gzip -1 | base64; printf '\\n%s>\\n' {mark}
"""


class Damaged(Exception):  # noqa: N818
    """What a host printed did not come whole."""


def unframed(rest: str, mark: str) -> tuple[int, bytes, str]:
    """(exit code, output, errors) out of what came after the first mark. Raises ValueError where it is not whole."""
    body, half, rest = rest.partition(f"\n{mark}|\n")
    errors, end, _ = rest.partition(f"\n{mark}>")
    if not half or not end:
        raise ValueError("its end is missing")
    try:
        plain, err = (
            gzip.decompress(base64.b64decode("".join(part.split()), validate=True)) for part in (body, errors)
        )
        output, _, code = plain.rpartition(b"\n")
        return int(code), output, err.decode(errors="replace")
    except (binascii.Error, EOFError, OSError, zlib.error, ValueError) as error:
        raise ValueError(f"{len(body)} characters that are not what was sent ({error})") from None


def keep(into: str, name: str, files: dict[str, bytes]) -> None:
    """Write a run's directory, under its name only when all of it is on the disk: merging it is a renaming."""
    aside, target = os.path.join(into, f".tmp-{name}"), os.path.join(into, name)
    shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(aside)
    for plain, content in files.items():
        with open(os.path.join(aside, plain), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    os.rename(aside, target)
