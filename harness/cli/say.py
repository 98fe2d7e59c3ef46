"""Messages for the person at the terminal, on standard error; a reader that has gone away changes nothing."""

from __future__ import annotations

import os
import sys


def say(text: str, end: str = "\n") -> None:
    """Print on standard error, if there is one and somebody reads it: progress must never end a measurement."""
    if sys.stderr is None:
        return
    try:
        print(text, end=end, file=sys.stderr, flush=True)
    except OSError:
        # Nobody listens. The interpreter would still try at its exit, and end with a code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def mute_stdout() -> None:
    """The reader (head, less) has seen enough: from here on print into nothing, also at the interpreter's exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_live(stream: object) -> bool:
    """Can this stream move its cursor and show colour: a terminal that calls itself more than dumb?"""
    isatty = getattr(stream, "isatty", None)
    return isatty is not None and bool(isatty()) and os.environ.get("TERM", "dumb") != "dumb"
