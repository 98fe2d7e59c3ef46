"""Who typed the command and what they see: messages, how wide and in which colour; whose files are left, and root."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from harness.errors import MissingError
from harness.mininet.interpreter import isolated

_PIPE_WIDTH = 100
# The kernel's "no user": no id is as large.
_NO_ID = 2**32 - 1


# What a terminal obeys, or what turns round the text behind it: all control characters of both sets but tab and line
# feed, marks and overrides of writing direction, separators of lines, byte order and annotation marks.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb]")
# As rich writes a style, and nothing else.
_STYLE = re.compile(r"(\x1b\[[0-9;]*m)")
ERASE = "\r\x1b[K"
"""To the beginning of the line, and all of it gone."""


def harmless(text: str) -> str:
    """The text with everything spelt out (\\u001b, as JSON has it) that a terminal would obey instead of show."""
    return _OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class Harmless:
    """A text stream before another: whatever is written passes `harmless`. All else is the other's."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write it, harmless."""
        self.stream.write(harmless(text))
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)


@contextmanager
def harmless_streams() -> Iterator[None]:
    """For the block, nothing that a file, a program or a name holds can reach the terminal but as text.

    What others write is read and printed again in a hundred places; so the one place that all of it passes is here.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (stream and Harmless(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _bare(stream: TextIO) -> TextIO:
    """The stream behind the filter, for our own escape sequences."""
    return stream.stream if isinstance(stream, Harmless) else stream


def print_styled(text: str) -> None:
    """Print what the layout of a table has styled: its styles stay, and nothing else that a terminal obeys."""
    parts = _STYLE.split(text)
    parts[::2] = map(harmless, parts[::2])
    print("".join(parts), file=_bare(sys.stdout))


def say(text: str, end: str = "\n", lead: str = "") -> None:
    """Print on standard error, if there is one and somebody reads it: progress must never end a measurement.

    lead: an escape sequence of our own before the text.
    """
    if sys.stderr is None:
        return
    try:
        print(lead + harmless(text), end=end, file=_bare(sys.stderr), flush=True)
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


def height() -> int:
    """How many lines the terminal has."""
    import shutil

    return shutil.get_terminal_size((80, 24)).lines


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
