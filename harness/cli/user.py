"""Who typed the command: whether it is root, and whose the files are that it leaves."""

from __future__ import annotations

import os
import shlex
import sys

from harness.errors import MissingError

# The kernel's "no user": no id is as large.
_NO_ID = 2**32 - 1


def owner_of_results() -> tuple[int, int] | None:
    """User and group id of who typed sudo, to whom the results belong; None without sudo."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    ids = [int(text) for text in (uid, gid) if text.isdecimal() and int(text) < _NO_ID]
    return (ids[0], ids[1]) if len(ids) == 2 else None


def need_root(purpose: str) -> None:
    """Raise MissingError, saying what to type, when we are not root."""
    if os.geteuid() != 0:
        program = os.path.abspath(sys.argv[0])
        start = [sys.executable, "-m", "harness"] if program.endswith("__main__.py") else [program]
        command = shlex.join([*start, *sys.argv[1:]])
        raise MissingError(purpose, got="it needs root", todo=f"type: sudo {command}")
