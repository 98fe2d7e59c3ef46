"""Drives the load generator the way the harness does: start it, read its events, tell it to go on."""

from __future__ import annotations

import json
import select
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from harness import loadgen
from harness.loadgen import samples as samplefile
from tests.vethpair import End

HEADER = struct.Struct("<8sIIQqqI20x")
CLIENT_CPU, SERVER_CPU = 0, 1
PATIENCE_S = 20.0

Event = dict[str, Any]
Argument = str | int | Path


class Generator:
    """One process of the load generator, killed at the end of the `with`."""

    def __init__(self, *arguments: Argument, executable: Path | None = None) -> None:
        command = [str(executable or loadgen.path()), *(str(argument) for argument in arguments)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def event(self, expected: str | None = None, patience_s: float = PATIENCE_S) -> Event:
        """The next event; AssertionError if it is not the expected one, or does not come in time."""
        assert self.process.stdout is not None
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self.process.stdout], [], [], patience_s)
            assert ready, f"no event within {patience_s} s"
            data = self.process.stdout.read(65536)
            assert data, f"ended without an event: {self.process.communicate()[1].decode()}"
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        event: Event = json.loads(line)
        assert expected is None or event["event"] == expected, event
        return event

    def say(self, word: str) -> None:
        """Write one line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())

    def close_input(self) -> None:
        """End its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.stdin = None

    def stop(self) -> Event:
        """SIGTERM, and the result it answers with."""
        self.process.terminate()
        result = self.event("result")
        assert self.process.wait(PATIENCE_S) == 0
        return result

    def failure(self, code: int = 1) -> Event:
        """The error it ends with, and the exit code that goes with it."""
        error = self.event("error")
        assert self.process.wait(PATIENCE_S) == code
        return error


@contextmanager
def server(end: End, *options: Argument, **where: Any) -> Iterator[tuple[Generator, int]]:
    """A server in this namespace, ready, and its port. `where`: see `address_options`."""
    arguments = address_options("--listen", end, **where)
    with Generator(
        "--netns", end.path, "--cpus", SERVER_CPU, "server", *arguments, *options, executable=where.get("executable")
    ) as process:
        yield process, int(process.event("ready")["port"])


def client(end: End, to: End, port: int, samples: Path, *options: Argument, **where: Any) -> Generator:
    """A client in this namespace of the server at the other end, for short times unless options say so."""
    arguments = address_options("--connect", to, port=port, **where)
    return Generator(
        "--netns",
        end.path,
        "--cpus",
        CLIENT_CPU,
        "client",
        *arguments,
        *("--samples", samples),
        *with_defaults(options),
        executable=where.get("executable"),
    )


def address_options(
    option: str,
    end: End,
    *,
    port: int = 0,
    protocol: str = "udp",
    family: str = "ipv4",
    wait: str = "blocking",
    size: int | str | None = 64,
    executable: Path | None = None,
) -> tuple[Argument, ...]:
    """The options that clients and servers share."""
    del executable  # not an option, but callers pass one set of keywords to both uses
    where = (option, end.address(family), "--port", port)
    sizes = () if size is None else ("--size", size)
    return (*where, "--protocol", protocol, "--wait", wait, *sizes)


def with_defaults(options: tuple[Argument, ...]) -> tuple[Argument, ...]:
    """The client's options, with short times for those not given."""
    defaults = {"--warmup-ns": 20_000_000, "--timeout-ns": 1_000_000_000}
    if "--count" not in options:
        defaults["--duration-ns"] = 100_000_000
    missing = [word for name, ns in defaults.items() if name not in options for word in (name, ns)]
    return (*options, *missing)


def measure(process: Generator) -> Event:
    """Takes a client through its whole life; its result."""
    process.event("ready")
    return measure_ready(process)


def measure_ready(process: Generator) -> Event:
    """As measure(), for a client whose ready event has been read."""
    process.event("warm")
    process.say("go")
    process.event("done")
    process.say("finish")
    result = process.event("result")
    assert process.process.wait(PATIENCE_S) == 0
    return result


def read_samples(path: Path) -> tuple[tuple[Any, ...], np.ndarray[Any, np.dtype[Any]]]:
    """The header's fields (magic, record bytes, flags, count, start, realtime start, columns) and the records."""
    data = path.read_bytes()
    return HEADER.unpack_from(data), samplefile.read(data)
