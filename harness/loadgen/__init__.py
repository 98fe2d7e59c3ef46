"""The native load generator, a C program, and the samples that it leaves."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import MissingError

EXECUTABLE = "pollbench-loadgen"


def path() -> Path:
    """The load generator's executable; MissingError, saying how to build it, where it was not built."""
    executable = Path(__file__).with_name(EXECUTABLE)
    if not os.access(executable, os.X_OK):
        raise MissingError(
            "find the load generator",
            on=str(executable),
            got="it was not built",
            todo="on Linux with a C compiler (apt install gcc libc6-dev), in pollbench's source tree, run: "
            "pip install .  (or python setup.py build_ext --inplace)",
        )
    if later := _changed_since(executable):
        raise MissingError(
            "run the load generator",
            on=str(executable),
            got=f"{later} of this checkout is newer: it may not know what the rest asks of it",
            todo="build it again: pip install -e .  (or python setup.py build_ext --inplace)",
        )
    return executable


def _changed_since(executable: Path) -> str:
    """The name of a source that has changed since it was built, in a checkout; "" where there is none."""
    if not (executable.parents[2] / ".git").exists():
        return ""  # installed: all its files are of one build, whatever their times
    built = executable.stat().st_mtime
    # Asked twice a run, of a hundred files.
    with os.scandir(executable.parent) as entries:
        sources = [entry for entry in entries if entry.name.endswith((".c", ".h"))]
    return min((entry.name for entry in sources if entry.stat().st_mtime > built), default="")
