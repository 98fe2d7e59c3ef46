"""The last guard at the edge: whatever nobody foresaw becomes one line, and a report with the traceback in a file."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import tempfile
import traceback
from datetime import UTC, datetime


def report_unforeseen(error: BaseException, command: str, argv: list[str]) -> str:
    """Write the report of an exception; the line that says what was attempted, what came back, and where that is."""
    words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    try:
        where = _write(_report(error, argv))
        todo = f"please report it with {where}"
    except OSError as trouble:
        todo = f"its report could not be written ({trouble.strerror})"
    return f"{command or 'pollbench'}: a mistake of pollbench's own ({words}); what was finished is kept; {todo}"


def _report(error: BaseException, argv: list[str]) -> str:
    """What whoever mends it needs to know; nothing of the environment, which may hold secrets."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        own = version("pollbench")
    except PackageNotFoundError:
        own = "unknown"
    head = {
        "pollbench": own,
        "command": shlex.join(["pollbench", *argv]),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "interpreter": sys.version.replace("\n", " "),
        "system": platform.platform(),
    }
    lines = [f"{key}: {value}" for key, value in head.items()]
    return "\n".join([*lines, "", *traceback.format_exception(error)])


def _write(text: str) -> str:
    """A new file in the directory for temporary files, readable by its owner alone."""
    fd, path = tempfile.mkstemp(prefix="pollbench-report-", suffix=".txt")
    with open(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
    return path
