"""A signal to a command: nothing but the exit code while it loads or ends, an exception while it works."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from harness.cli.terminal import columns, is_live
from harness.kernel.leaving import leave
from harness.signals import answer_with, tell

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_AGAIN_S = 0.02
_SAVE, _RESTORE = "\x1b7", "\x1b8"
_HURRY_S = 1.0
"""Those that come sooner after the first one are the same: of somebody in a hurry, or handed on by who started us."""


class Interruption:
    """Whether a signal came; own_process: else the signals belong to whoever calls, and nothing is done."""

    def __init__(self, own_process: bool) -> None:
        self.came = False
        self._own = own_process
        self._first_s: float | None = None
        if own_process:
            answer_with(leave)
            tell(self._hear)

    @contextmanager
    def raised(self) -> Iterator[None]:
        """In the block a signal is KeyboardInterrupt, so that whatever is open is closed on its way out."""
        if not self._own:
            yield
            return
        answer_with(self._raise)
        sys.unraisablehook = self._swallowed
        try:
            yield
        finally:
            # From here on nothing of ours is open, and the interpreter's own end takes a moment.
            answer_with(leave)

    def _raise(self, number: int, _frame: FrameType | None = None) -> None:
        self.came = True
        if number == signal.SIGINT:
            self._insists("")
        raise KeyboardInterrupt

    def _hear(self, number: int, remedy: str) -> None:
        """Inside a stop request: Ctrl-C is answered at once, however long a good end takes."""
        left, then = (f"; what is left is for: {remedy}", f" (then: {remedy})") if remedy else ("", "")
        if number == signal.SIGINT and not self._insists(left):
            _write(f"pollbench: stopping; Ctrl-C again ends at once{then}", passing=is_live(sys.stderr))

    def _insists(self, rest: str) -> bool:
        """At a Ctrl-C: was there one before? If that is a while ago, this is the end, as by SIGKILL."""
        if self._first_s is None:
            self._first_s = time.monotonic()
            return False
        if time.monotonic() - self._first_s > _HURRY_S:
            _write(f"pollbench: ended at once{rest}")
            leave(signal.SIGINT)
        return True

    def _swallowed(self, unraisable: UnraisableHookArgs) -> None:
        """An exception that nobody could catch: ours is thrown again in a moment, others are told as ever."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
        else:
            sys.__unraisablehook__(unraisable)


def _write(line: str, *, passing: bool = False) -> None:
    """Write a line past Python's streams, in the middle of whose work a signal may have come.

    passing: where the cursor is (behind the terminal's own ^C), for as long as nothing else is drawn there.
    """
    text = f"{_SAVE}{line[: columns() - 4]}{_RESTORE}" if passing else f"{line}\n"
    with contextlib.suppress(OSError):
        os.write(2, text.encode())
