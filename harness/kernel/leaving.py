"""How this process ends at once, where there is nothing to put back: while it starts, and once its command is over."""

from __future__ import annotations

import os
from types import FrameType

_INTERRUPTED = 130


def leave(_number: int, _frame: FrameType | None = None) -> None:
    """A signal handler: ends the process with the exit code of an interrupted command.

    Not by an exception: what an import throws on its way through a library's own handlers comes out as a traceback, as
    another error, or not at all.
    """
    os._exit(_INTERRUPTED)
