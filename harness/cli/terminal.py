"""What output is printed on: how wide, and whether in colour."""

from __future__ import annotations

import os
import shutil
import sys

from harness.cli.say import is_live

_PIPE_WIDTH = 100


def width_and_color() -> tuple[int, bool]:
    """How many columns to fill, and whether in colour: as the terminal has it; in a pipe 100 columns without colour."""
    if not is_live(sys.stdout):
        return _PIPE_WIDTH, False
    return shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns, "NO_COLOR" not in os.environ
