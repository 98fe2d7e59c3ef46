"""How this process ends at once, where there is nothing to put back: while it starts, and once its command is over."""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Iterable
from types import FrameType
from typing import TextIO

_INTERRUPTED = 130


def leave(_number: int, _frame: FrameType | None = None) -> None:
    """A signal handler: ends the process with the exit code of an interrupted command.

    Not by an exception: what an import throws on its way through a library's own handlers comes out as a traceback, as
    another error, or not at all.
    """
    os._exit(_INTERRUPTED)


def leave_soon(code: int, streams: Iterable[TextIO | None]) -> None:
    """After a command was interrupted: end as Python does, but for taking every module apart; else do nothing.

    On a busy host somebody who has pressed Ctrl-C would wait for that, for seconds. streams: what to write out.
    """
    if code != _INTERRUPTED:
        return
    atexit._run_exitfuncs()
    for stream in filter(None, streams):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it
            stream.flush()
    os._exit(code)
