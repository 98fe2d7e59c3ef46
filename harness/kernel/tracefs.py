"""An instance of the kernel's trace buffers of our own, in a tracefs that is mounted nowhere."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from harness.errors import MissingError
from harness.kernel import identity, syscalls
from harness.kernel.cpulists import format_cpu_mask
from harness.kernel.hostfiles import HOST

PREFIX = "pollbench-"
"""What the names of our instances begin with; the token of the owner's journal follows."""
_FIELD = re.compile(r"field:([^;]*?)(\w+)(\[\w*\])?;\s*offset:(\d+);\s*size:(\d+);")
_ID = re.compile(r"^ID: (\d+)", re.MULTILINE)
_LOST = re.compile(r"^(?:overrun|commit overrun|dropped events): (\d+)", re.MULTILINE)
_PAGE = re.compile(r"char data;\s*offset:(\d+);\s*size:(\d+)")
_SMALLEST_KB = 8


class Field(NamedTuple):
    """Where a field lies in an event, bytes; located: there lies only where its text is (`__data_loc`)."""

    offset: int
    size: int
    located: bool


class Format(NamedTuple):
    """An event as this kernel writes it."""

    number: int
    fields: dict[str, Field]


class Instance:
    """Trace buffers, a ring a CPU, into which events go while it is on. Removed at the end of `instance`."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.directory = root, root / "instances" / name

    def set_up(self, events: Mapping[str, str], cpus: Collection[int], kb_per_cpu: int) -> dict[str, str]:
        """Choose the events, by "system/name" with a filter or "", the CPUs and the size of each ring, KiB.

        The clock is CLOCK_MONOTONIC, and a full ring takes no more. Returns the events that this kernel lacks, or
        whose filter it refuses, with the reason. Raises OSError.
        """
        self._write("tracing_on", "0")
        self._write("trace_clock", "mono")
        self._write("options/overwrite", "0")
        self._write("buffer_size_kb", str(_SMALLEST_KB))
        for cpu in cpus:
            self._write(f"per_cpu/cpu{cpu}/buffer_size_kb", str(kb_per_cpu))
        self._write("tracing_cpumask", format_cpu_mask(cpus))
        lacking = {}
        for event, condition in events.items():
            try:
                if condition:
                    self._write(f"events/{event}/filter", condition)
                self._write(f"events/{event}/enable", "1")
            except OSError as error:
                lacking[event] = error.strerror or str(error)
        return lacking

    def on(self) -> None:
        """Let events in. Raises OSError."""
        self._write("tracing_on", "1")

    def off(self) -> None:
        """Let no more in, and take the events' costs off the host. Raises OSError."""
        self._write("tracing_on", "0")
        self._write("events/enable", "0")

    def format(self, event: str) -> Format:
        """How this kernel writes an event. Raises OSError: it has none of the name."""
        text = (self.directory / "events" / event / "format").read_text()
        number = _ID.search(text)
        assert number is not None, text[:200]
        fields = {
            match[2]: Field(int(match[4]), int(match[5]), "__data_loc" in match[1]) for match in _FIELD.finditer(text)
        }
        return Format(int(number[1]), fields)

    def page_bytes(self) -> int:
        """How large a page of a ring is."""
        match = _PAGE.search((self.directory / "events" / "header_page").read_text())
        return int(match[1]) + int(match[2]) if match else 4096

    def pages(self, cpu: int) -> bytes:
        """All pages of a CPU's ring, which are taken out of it. Raises OSError."""
        size, pieces = self.page_bytes(), []
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        where = self.directory / f"per_cpu/cpu{cpu}/trace_pipe_raw"
        with syscalls.held(os.open(where, flags)) as fd, contextlib.suppress(BlockingIOError):
            while page := os.read(fd, size):
                pieces.append(page.ljust(size, b"\0"))
        return b"".join(pieces)

    def lost(self, cpu: int) -> int:
        """How many events found no room in a CPU's ring."""
        text = (self.directory / f"per_cpu/cpu{cpu}/stats").read_text()
        return sum(int(count) for count in _LOST.findall(text))

    def _write(self, name: str, value: str) -> None:
        HOST.write(str(self.directory / name), value)


@contextlib.contextmanager
def opened() -> Iterator[Path]:
    """A tracefs for the block, as a path of this process alone. Raises MissingError where there is none for us."""
    try:
        fd = syscalls.mount_detached("tracefs")
    except OSError as error:
        lacks = error.errno in (errno.ENODEV, errno.ENOSYS)
        todo = "take a kernel with CONFIG_TRACING" if lacks else "run it as root, without kernel lockdown"
        got = "the kernel has no tracefs" if lacks else str(error.strerror)
        raise MissingError("trace the run", "tracefs", got, todo) from None
    with syscalls.held(fd):
        yield Path(f"/proc/self/fd/{fd}")


def make(root: Path, name: str) -> dict[str, int]:
    """Make an instance, and tell which it is by its numbers. Raises MissingError."""
    directory = root / "instances" / name
    try:
        directory.mkdir()
    except OSError as error:
        raise MissingError("trace the run", f"instances/{name} of tracefs", str(error.strerror)) from None
    return identity.of_path(directory)


def remove(root: Path, name: str) -> None:
    """Stop an instance and remove it; nothing where it has gone. Raises OSError: EBUSY while somebody reads it."""
    directory = root / "instances" / name
    if directory.exists():
        HOST.write(str(directory / "tracing_on"), "0")
        HOST.write(str(directory / "events" / "enable"), "0")
        directory.rmdir()


def address_of(function: str) -> str | None:
    """Where a function of the kernel lies, as filters of events take it; None where the kernel does not say."""
    with contextlib.suppress(OSError), open("/proc/kallsyms") as lines:
        for line in lines:
            address, _, name = line.split()[:3]
            if name == function:
                return f"0x{address}" if address.strip("0") else None
    return None
