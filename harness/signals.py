"""SIGINT, SIGTERM and SIGHUP as a request, honoured where nothing is left half-done."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from harness.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopper:
    """Holds a stop request: `fd` becomes readable when there is one, `check` raises Interrupted.

    An exception thrown by a signal handler could land in the middle of a tear-down and leave a namespace behind;
    so the handler only notes the request, and the long waits watch `fd`.
    """

    def __init__(self) -> None:
        self.fd, self._write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.received: int | None = None

    def note(self, number: int, _frame: FrameType | None = None) -> None:
        """The signal handler: notes the request and wakes whoever waits."""
        if self.received is None:
            self.received = number
            os.write(self._write_fd, b"x")

    @property
    def requested(self) -> bool:
        """Was a stop requested?"""
        return self.received is not None

    def check(self) -> None:
        """Raise Interrupted if a stop was requested."""
        if self.received is not None:
            name = signal.Signals(self.received).name
            raise Interrupted("interrupted", got=f"{name}; everything was put back, finished runs are on disk")

    def pause(self, seconds: float) -> None:
        """Sleep, but not through a stop request. Raises Interrupted."""
        select.select([self.fd], [], [], seconds)
        self.check()

    def close(self) -> None:
        """Release the pipe."""
        os.close(self.fd)
        os.close(self._write_fd)


@contextmanager
def stop_on_signals() -> Iterator[Stopper]:
    """Inside the block the three signals make a stop request; the former handlers are put back at its end."""
    stopper = Stopper()
    # What is ignored stays so: `nohup pollbench run` is to outlive its terminal.
    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stopper.note) for number in heard}
    try:
        yield stopper
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stopper.close()
