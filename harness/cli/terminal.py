"""Who typed the command and what they see: messages, how wide and in which colour; whose files are left, and root."""

from __future__ import annotations

import os
import shlex
import sys

from harness.errors import MissingError
from harness.mininet.interpreter import isolated

_PIPE_WIDTH = 100
# The kernel's "no user": no id is as large.
_NO_ID = 2**32 - 1


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


def columns(fallback: int = 80) -> int:
    """How wide the terminal is."""
    import shutil

    return shutil.get_terminal_size((fallback, 24)).columns


def width_and_color() -> tuple[int, bool]:
    """How many columns to fill, and whether in colour: as the terminal has it; in a pipe 100 columns without colour."""
    if not is_live(sys.stdout):
        return _PIPE_WIDTH, False
    return columns(_PIPE_WIDTH), "NO_COLOR" not in os.environ


def owner_of_results() -> tuple[int, int] | None:
    """User and group id of who typed sudo, to whom the results belong; None without sudo."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    ids = [int(text) for text in (uid, gid) if text.isdecimal() and int(text) < _NO_ID]
    return (ids[0], ids[1]) if len(ids) == 2 else None


def need_root(purpose: str) -> None:
    """Raise MissingError, saying what to type, when we are not root."""
    if os.geteuid() != 0:
        words = [os.path.abspath(sys.argv[0]), *sys.argv[1:]]
        if words[0].endswith("__main__.py"):
            # Typed as `python -m`, it would take whatever the current directory holds, as root.
            python = isolated("harness", *sys.argv[1:])
            words = ["env", f"PYTHONPATH={python.environment['PYTHONPATH']}", *python.argv]
        command = shlex.join(words)
        raise MissingError(purpose, got="it needs root", todo=f"type: sudo {command}")
