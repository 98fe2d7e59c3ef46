"""Whose the files are that a command leaves."""

from __future__ import annotations

import os

# The kernel's "no user": no id is as large.
_NO_ID = 2**32 - 1


def owner_of_results() -> tuple[int, int] | None:
    """Under sudo, results belong to who typed the command."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    ids = [int(text) for text in (uid, gid) if text.isdecimal() and int(text) < _NO_ID]
    return (ids[0], ids[1]) if len(ids) == 2 else None
