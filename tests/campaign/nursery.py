"""Starts commands that have loaded already: a process that has imported everything forks for each.

So that a kill costs tenths of a second, not the two that an interpreter takes to load pandas.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.campaign.jail import ROOT


class Child:
    """A command that runs; what it prints is in the files out and err."""

    def __init__(
        self, pid: int, out: Path, err: Path, nursery: Nursery | None, process: subprocess.Popen[bytes] | None
    ):
        self.pid, self.out, self.err = pid, out, err
        self._nursery, self._process = nursery, process
        self._fd = os.pidfd_open(pid)
        self.code: int | None = None
        self._waited = False

    def ended_within(self, seconds: float) -> bool:
        """Wait so long; has it ended?"""
        return self._waited or bool(select.select([self._fd], [], [], seconds)[0])

    def end(self, number: int = signal.SIGKILL, group: bool = False) -> bool:
        """Send it, or all of its process group, a signal; False where it has ended."""
        if self._waited:
            return False
        try:
            if group:
                os.killpg(self.pid, number)
            else:
                signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            return False
        return not self.ended_within(0)

    def wait(self, seconds: float) -> int | None:
        """Its exit code (negative: the signal); None, and it is killed, where it takes longer."""
        late = not self.ended_within(seconds)
        if late:
            self.end()
            self.ended_within(seconds)
        if self._process is not None:
            code = self._process.wait()
        else:
            assert self._nursery is not None
            code = self._nursery.reap(self.pid)
        os.close(self._fd)
        self._waited = True
        self.code = None if late else code
        return self.code

    def said(self) -> str:
        """All that it has printed."""
        return self.out.read_text(errors="replace") + self.err.read_text(errors="replace")


class Nursery:
    """The process that forks commands, each the first of a session of its own."""

    def __init__(self, scratch: Path) -> None:
        self._scratch, self._number = scratch, 0
        scratch.mkdir(parents=True, exist_ok=True)
        self._socket, other = socket.socketpair()
        with other:
            words = [sys.executable, "-m", "tests.campaign.nursery", str(other.fileno())]
            self._process = subprocess.Popen(words, cwd=ROOT, pass_fds=[other.fileno()])
        self._lines = self._socket.makefile("r")
        assert self._lines.readline() == "ready\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._lines.close()
        self._socket.close()

    def start(self, *words: str, fresh: bool = False, prefix: tuple[str, ...] = ()) -> Child:
        """Start `pollbench WORDS`. fresh: as a shell would, from nothing, by the words of `prefix`."""
        self._number += 1
        out, err = (self._scratch / f"{self._number % 50}.{name}" for name in ("out", "err"))
        if fresh or prefix:
            with out.open("wb") as first, err.open("wb") as second:
                command = [*prefix, sys.executable, "-m", "harness", *words]
                null = subprocess.DEVNULL
                process = subprocess.Popen(
                    command, stdin=null, stdout=first, stderr=second, start_new_session=True, cwd=ROOT
                )
            return Child(process.pid, out, err, None, process)
        return Child(self._ask({"words": words, "out": str(out), "err": str(err)}), out, err, self, None)

    def reap(self, pid: int) -> int:
        """The exit code of a child that has ended."""
        return self._ask({"reap": pid})

    def _ask(self, question: dict[str, object]) -> int:
        self._socket.sendall(json.dumps(question).encode() + b"\n")
        return int(self._lines.readline())


def _load() -> None:
    """What `run`, `up`, `down` and `clean` import."""
    from importlib import import_module

    for name in ("run", "up", "clean", "plan", "show", "carry_out", "parser", "interruption"):
        import_module(f"harness.cli.{name}")
    for name in ("harness.places.local", "harness.report", "harness.tables", "harness.kernel.facts", "pyarrow.parquet"):
        import_module(name)


def _become(question: dict[str, object]) -> None:
    """In the fork: the command, from its first line on."""
    os.setsid()
    words, out, err = question["words"], str(question["out"]), str(question["err"])
    assert isinstance(words, list)
    for number, path in ((0, os.devnull), (1, out), (2, err)):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        fd = os.open(path, flags)
        os.dup2(fd, number)
        os.close(fd)
    sys.argv = ["pollbench", *words]
    code = 1
    try:
        from harness.__main__ import start

        code = start()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _serve(fd: int) -> None:
    """Fork for each line, until there are no more."""
    _load()
    connection = socket.socket(fileno=fd)
    lines = connection.makefile("r")
    connection.sendall(b"ready\n")
    for line in lines:
        question = json.loads(line)
        if "reap" in question:
            answer = os.waitstatus_to_exitcode(os.waitpid(question["reap"], 0)[1])
        else:
            answer = os.fork()
            if not answer:
                os.close(fd)
                _become(question)
        connection.sendall(f"{answer}\n".encode())


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
