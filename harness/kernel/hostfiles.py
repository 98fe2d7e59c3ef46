"""The files of one host (/proc, /sys, /etc) below a root that a test, or a copy of another host's files, replaces.

Sent to other hosts together with host_settings.py: needs Python 3.8 and the standard library alone.
"""

from __future__ import annotations

import contextlib
import glob
import os
from pathlib import Path
from typing import Iterator

from .cpulists import parse_cpu_list

_CHUNK_BYTES, _SHORT_BYTES = 65536, 4096


Names, Numbers = list[str], list[int]
"""`list` has another meaning in the class below."""


class HostFiles:
    """Reads and writes the files of one host.

    `read`, `read_bytes`, `write` and `list` raise OSError with the kernel's errno and the file's name. All other
    readers are tolerant: where a file is missing or refused they return None (or nothing).
    """

    def __init__(self, root: Path | str = "/") -> None:
        self.root = str(root).rstrip("/")

    def path(self, name: str) -> Path:
        """Where an absolute name such as "/proc/cpuinfo" lies below the root."""
        return Path(self._place(name))

    def _place(self, name: str) -> str:
        return f"{self.root}/{name.lstrip('/')}"

    def read_bytes(self, name: str) -> bytes:
        """The whole file. Raises OSError."""
        # As `_opened` does it, without a context manager's own time: a run reads some hundred files of /proc.
        try:
            fd = os.open(f"{self.root}/{name.lstrip('/')}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                data = os.read(fd, _CHUNK_BYTES)
                while more := data and os.read(fd, _CHUNK_BYTES):
                    data += more
            finally:
                os.close(fd)
        except OSError as error:
            raise OSError(error.errno, error.strerror, name) from None
        return data

    def read_once(self, name: str) -> bytes:
        """A short file that the kernel hands over in one read, as those of a task are, in half the time. OSError."""
        fd = os.open(f"{self.root}{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(fd, _SHORT_BYTES)
        finally:
            os.close(fd)

    def read(self, name: str) -> str:
        """The whole file as text, stripped; bytes that are no UTF-8 are replaced. Raises OSError."""
        return self.read_bytes(name).decode(errors="replace").strip()

    def write(self, name: str, value: int | str) -> None:
        """Write in one write(2): Python's own files would report the kernel's errno at close. Raises OSError."""
        with self._opened(name, os.O_WRONLY | os.O_TRUNC) as fd:
            os.write(fd, str(value).encode())

    @contextlib.contextmanager
    def _opened(self, name: str, flags: int) -> Iterator[int]:
        """A descriptor for the block; all that fails names the file as we do, without the root."""
        try:
            fd = os.open(self._place(name), flags | os.O_CLOEXEC)
            try:
                yield fd
            finally:
                os.close(fd)
        except OSError as error:
            raise OSError(error.errno, error.strerror, name) from None

    def names(self, directory: str) -> Names:
        """The sorted names in a directory."""
        try:
            return sorted(os.listdir(self._place(directory)))
        except OSError:
            return []

    def find(self, pattern: str) -> Names:
        """The absolute names that fit a shell pattern; numbers in their order."""
        places = glob.iglob(self._place(pattern))
        return sorted((place[len(self.root) :] for place in places), key=lambda name: (len(name), name))

    def link(self, name: str) -> str:
        """The last part of where a symbolic link points; "" where there is none."""
        try:
            return os.path.basename(os.readlink(self._place(name)))
        except OSError:
            return ""

    def text(self, name: str) -> str | None:
        """The whole file, stripped; bytes that are no UTF-8 are replaced."""
        try:
            return self.read(name)
        except OSError:
            return None

    def lines(self, name: str) -> Names:
        """The lines of a file."""
        return (self.text(name) or "").splitlines()

    def number(self, name: str) -> int | None:
        """A file that holds one whole number."""
        try:
            return int(self.text(name) or "")
        except ValueError:
            return None

    def chosen(self, name: str) -> str | None:
        """The choice in brackets of a file such as "always [madvise] never"; the whole text where none is."""
        text = self.text(name)
        if text and "[" in text and "]" in text:
            return text.partition("[")[2].partition("]")[0]
        return text

    def flag(self, name: str) -> bool | None:
        """A file that holds 0 or 1."""
        number = self.number(name)
        return None if number is None else number != 0

    def cpus(self, name: str) -> Numbers | None:
        """A file that holds a CPU list such as "0-3,8"; an empty list is [], a missing file None."""
        text = self.text(name)
        return None if text is None else parse_cpu_list(text)

    def fields(self, name: str, separator: str = ":") -> dict[str, str]:
        """A file of "key: value" lines; of a repeated key the first counts."""
        fields: dict[str, str] = {}
        for line in self.lines(name):
            key, _, value = line.partition(separator)
            fields.setdefault(key.strip(), value.strip().strip('"'))
        return fields

    def runs(self, program: str) -> bool:
        """Does a process of this name run? The kernel keeps 15 characters of a name."""
        return any(self.text(name) == program[:15] for name in self.find("/proc/[0-9]*/comm"))

    # Last, so that the annotations above can say Names.
    def list(self, directory: str) -> Names:
        """The sorted names in a directory. Raises OSError."""
        return sorted(os.listdir(self._place(directory)))


def sysctl_file(name: str) -> str:
    """The file of a sysctl: "net.core.busy_read" or "net/ipv4/conf/eth0.1/rp_filter" (slashes: dots stay).

    Those of a network namespace are the calling thread's.
    """
    return f"/proc/sys/{name if '/' in name else name.replace('.', '/')}"


HOST = HostFiles()
"""The host that this process runs on."""
