"""Signals that ask a process to end: as a request, honoured where nothing is left half-done, or at once."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from harness.errors import Interrupted

Handler = Callable[[int, FrameType | None], object]
Hearer = Callable[[int, str], object]
"""Called with a signal, and what is to be typed where the end is not waited for."""

# Whoever sends one of these wants us to end, and so does whoever sends one that ends every process that does not
# expect it. What the kernel sends for a fault of ours (SIGSEGV and its like) is no request; SIGKILL cannot be heard.
_ASKING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
_ENDING = ("SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGXCPU", "SIGIO", "SIGPWR", "SIGSTKFLT")
_active: list[Stopper] = []
_ours: list[object] = []
_hearers: list[Hearer] = []


class Stopper:
    """Holds a stop request: `fd` becomes readable when there is one, `check` raises Interrupted.

    An exception thrown by a signal handler could land in the middle of a tear-down and leave a namespace behind;
    so the handler only notes the request, and the long waits watch `fd`. remedy: as for `stop_on_signals`.
    """

    def __init__(self, remedy: str = "") -> None:
        self.fd, self._write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.received: int | None = None
        self._remedy = remedy

    def note(self, number: int, _frame: FrameType | None = None) -> None:
        """The signal handler: notes the request and wakes whoever waits."""
        if self.received is None:
            self.received = number
            os.write(self._write_fd, b"x")
        for hear in _hearers:
            hear(number, self._remedy)

    @property
    def requested(self) -> bool:
        """Was a stop requested?"""
        return self.received is not None

    def check(self) -> None:
        """Raise Interrupted if a stop was requested."""
        if self.received is not None:
            got = f"{_name(self.received)}; everything was put back, finished runs are on disk"
            raise Interrupted("interrupted", got=got)

    def pause(self, seconds: float) -> None:
        """Sleep, but not through a stop request. Raises Interrupted."""
        select.select([self.fd], [], [], seconds)
        self.check()

    def close(self) -> None:
        """Release the pipe."""
        os.close(self.fd)
        os.close(self._write_fd)


@contextmanager
def stop_on_signals(remedy: str | None = None) -> Iterator[Stopper]:
    """Inside the block the signals make a stop request; the former handlers are put back at its end.

    remedy: the command that does what is left undone where somebody does not wait for the end. By default the one for
    what only root can have left; without root there are guests, which end with us.
    """
    stopper = Stopper(("sudo pollbench clean" if os.geteuid() == 0 else "") if remedy is None else remedy)
    before = {number: signal.signal(number, stopper.note) for number in _heard()}
    _active.append(stopper)
    try:
        yield stopper
    finally:
        _active.remove(stopper)
        for number, handler in before.items():
            signal.signal(number, handler)
        stopper.close()


def answer_with(handler: Handler) -> None:
    """Have the signals answered by this from now on."""
    _ours.append(handler)
    for number in _heard():
        signal.signal(number, handler)


def tell(hear: Hearer) -> None:
    """Have this called too, in the signal handler, for every signal that makes, or repeats, a stop request."""
    _hearers.append(hear)


def check_stop() -> None:
    """Raise Interrupted if a stop was requested inside the innermost `stop_on_signals`, if there is one."""
    for stopper in _active[-1:]:
        stopper.check()


def await_readable(fd: int, seconds: float | None = None) -> bool:
    """Wait until a descriptor can be read, or for so long; whether it can. Raises Interrupted, as `check_stop`."""
    watched = [stopper.fd for stopper in _active[-1:]]
    ready, _, _ = select.select([fd, *watched], [], [], seconds)
    check_stop()
    return fd in ready


def pause(seconds: float) -> None:
    """Sleep, but not through a stop request. Raises Interrupted, as `check_stop`."""
    select.select([stopper.fd for stopper in _active[-1:]], [], [], seconds)
    check_stop()


def _heard() -> list[int]:
    """The signals that we answer. What is ignored stays so: `nohup pollbench run` is to outlive its terminal."""
    asking = [number for name in _ASKING if signal.getsignal(number := signal.Signals[name]) is not signal.SIG_IGN]
    # A handler that somebody else has set for one of the others (a profiler's timer) is theirs.
    others = [int(signal.Signals[name]) for name in _ENDING] + list(range(signal.SIGRTMIN, signal.SIGRTMAX + 1))
    return [*asking, *(number for number in others if _is_free(number))]


def _is_free(number: int) -> bool:
    handler = signal.getsignal(number)
    ours = handler in _ours or isinstance(getattr(handler, "__self__", None), Stopper)
    return handler is signal.SIG_DFL or ours


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have none
        return f"signal {number}"
