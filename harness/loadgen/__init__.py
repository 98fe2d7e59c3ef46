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
    return executable
