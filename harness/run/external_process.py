"""Programs that nobody modified: started, seen to be ready from outside, stopped, and read by what they print."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable

from harness.errors import MissingError, PollbenchError
from harness.kernel import patterns, processes
from harness.kernel.proc import start_ticks
from harness.run.process import ChildProcess, Children, content, tail
from harness.signals import Stopper

_LOOK_S = 0.005
PATTERN_S = 2.0
"""How long a search by somebody else's regular expression may take."""
# Characters of either output in which a sign that a server is ready is looked for.
_MOST_SEARCHED = 1 << 20


def install_hint(package: str) -> str:
    """What to do about a program that is not there; package: which brings it, "" where that is not known."""
    return f"install it: apt install {package}" if package else "install it, or name its path"


def require_program(program: str, label: str, package: str) -> None:
    """Raise MissingError where there is no such program. label: what it is to be started as, for the message."""
    if shutil.which(program) is None:
        raise MissingError("start", label, f"there is no program {program}", install_hint(package))


class ExternalProcess(ChildProcess):
    """One program in a process group of its own; all that descends from it ends with the block."""

    def __init__(self, label: str, argv: list[str], stopper: Stopper, pass_fds: tuple[int, ...] = ()) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        try:
            super().__init__(label, argv, stopper, stdin=subprocess.DEVNULL, stdout=self._output, pass_fds=pass_fds)
        except PollbenchError:
            self._output.close()
            raise
        self._family: dict[int, int] = {}
        self._unmatched = ("", "")

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._output.close()

    def family(self) -> list[int]:
        """Its process and all that descend from it."""
        pids = processes.tree(self.pid) if self.ended() is None else []
        self._family |= {pid: start_ticks(pid) for pid in pids if pid not in self._family}
        return pids

    def wait_until(self, ready: Callable[[], bool], sign: str, timeout_s: float, others: Children = ()) -> None:
        """Wait until `ready`; sign: what it waits for, in words.

        Raises PollbenchError when the program ends before, or is too slow, or one of `others` ends.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self.wait(time.monotonic() + _LOOK_S, others):
                raise self.death()
            if time.monotonic() > deadline:
                got = f"nothing within {timeout_s:.1f} s"
                raise PollbenchError(f"wait for {sign}", f"the {self.label}", got, self.said())

    def says(self, pattern: str) -> bool:
        """Has it written something that the regular expression finds? The expression is one of ours."""
        return re.search(pattern, self.output() + self.errors(), re.MULTILINE) is not None

    def says_in_time(self, pattern: str, limit_s: float = PATTERN_S) -> bool:
        """The same for an expression that somebody else wrote. Raises PollbenchError when the search takes too long.

        It is searched for in what was written first, and again only once more was written.
        """
        text = self.output()[:_MOST_SEARCHED] + self.errors()[:_MOST_SEARCHED]
        if (pattern, text) == self._unmatched:
            return False
        try:
            if patterns.matches(pattern, text, limit_s):
                return True
        except ValueError as error:
            raise PollbenchError("look for its `ready`", f"the {self.label}", str(error)) from None
        self._unmatched = pattern, text
        return False

    def wait_end(self, timeout_s: float, others: Children = ()) -> None:
        """Wait for its own end. Raises PollbenchError when it is too slow, fails, or one of `others` ends first."""
        if not self.wait(time.monotonic() + timeout_s, others):
            got = f"still there after {timeout_s:.1f} s"
            raise PollbenchError("wait for the end", f"the {self.label}", got, self.said())
        if self.ended() != 0:
            self.blame(others)
            raise self.death()

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 3.0) -> None:
        """Ask it to end; if it has not after the time, it is killed: what it wrote counts either way."""
        self.family()
        self.send_signal(number)
        if not self.wait(time.monotonic() + timeout_s):
            self._kill()

    def output(self) -> str:
        """What it has written to its standard output so far."""
        return content(self._output).decode(errors="replace")

    def errors(self) -> str:
        """What it has written to its standard error so far."""
        return content(self._errors).decode(errors="replace")

    def said(self) -> str:
        """Its last lines, for a message; "" when it wrote nothing."""
        last = self._last_lines()
        return f"it said: {last}" if last else ""

    def files(self) -> dict[str, bytes]:
        """Its output, verbatim, to be kept with the run."""
        texts = {"stdout": content(self._output), "stderr": content(self._errors)}
        return {f"{self.label}.{name}.txt": data for name, data in texts.items() if data}

    def _last_lines(self) -> str:
        return tail(content(self._errors)) or tail(content(self._output))

    def _kill(self) -> None:
        self.family()
        super()._kill()

    def _reap(self, flags: int) -> None:
        """End its process group and whoever left that, before its process number is given up by reaping it."""
        if os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT | flags):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            processes.end([pid for pid, began in self._family.items() if start_ticks(pid) == began != 0])
        super()._reap(flags)
