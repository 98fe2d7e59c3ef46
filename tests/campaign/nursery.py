"""Starts commands for a campaign, forked from a process that has loaded already or as a shell would.

So that a kill costs tenths of a second, not the two that an interpreter takes to load pandas.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.campaign.jail import ROOT
from tests.forkserver import Request, Server


class Child:
    """A command that runs; what it prints is in the files out and err."""

    def __init__(self, pid: int, out: Path, err: Path) -> None:
        self.pid, self.out, self.err = pid, out, err
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
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._fd)
        self._waited = True
        self.code = None if late else code
        return self.code

    def said(self) -> str:
        """All that it has printed."""
        return self.out.read_text(errors="replace") + self.err.read_text(errors="replace")


class Nursery:
    """Starts commands, each the first of a session of its own."""

    def __init__(self, scratch: Path) -> None:
        self._scratch, self._number = scratch, 0
        scratch.mkdir(parents=True, exist_ok=True)
        self._server = Server()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def start(self, *words: str, fresh: bool = False, prefix: tuple[str, ...] = ()) -> Child:
        """Start `pollbench WORDS`. fresh: as a shell would, from nothing, by the words of `prefix`."""
        self._number += 1
        out, err = (self._scratch / f"{self._number % 50}.{name}" for name in ("out", "err"))
        with open(os.devnull) as null, out.open("wb") as first, err.open("wb") as second:
            if fresh or prefix:
                command = [*prefix, sys.executable, "-m", "harness", *words]
                streams = {"stdin": null, "stdout": first, "stderr": second}
                pid = subprocess.Popen(command, start_new_session=True, cwd=ROOT, **streams).pid
            else:
                request = Request(list(words), dict(os.environ), str(ROOT), new_session=True)
                pid = self._server.fork(request, [null.fileno(), first.fileno(), second.fileno()])
        return Child(pid, out, err)
