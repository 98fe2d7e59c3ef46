"""The command line as a user's shell starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "harness"]
ROOT = Path(__file__).parent.parent


# A user namespace without a mapping: files stay readable, but every privilege is gone and the user is nobody.
UNPRIVILEGED = ("unshare", "--user")


def start(*arguments: str | Path, prefix: tuple[str, ...] = (), **options: Any) -> subprocess.Popen[str]:
    """Start a command; the caller waits for it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.Popen(
        [*prefix, *COMMAND, *map(str, arguments)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    with start(*arguments, **options) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
