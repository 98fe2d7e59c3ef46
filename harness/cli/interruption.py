"""A signal to a command: nothing but the exit code while it loads or ends, an exception while it works."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from harness.kernel.leaving import leave
from harness.signals import answer_with

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_AGAIN_S = 0.02


class Interruption:
    """Whether a signal came; own_process: else the signals belong to whoever calls, and nothing is done."""

    def __init__(self, own_process: bool) -> None:
        self.came = False
        self._own = own_process
        if own_process:
            answer_with(leave)

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

    def _raise(self, _number: int, _frame: FrameType | None = None) -> None:
        self.came = True
        raise KeyboardInterrupt

    def _swallowed(self, unraisable: UnraisableHookArgs) -> None:
        """An exception that nobody could catch: ours is thrown again in a moment, others are told as ever."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
        else:
            sys.__unraisablehook__(unraisable)
