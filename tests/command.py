"""The command line as a user's shell starts it, or called in this process where only its words matter."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness import cli

COMMAND = [sys.executable, "-m", "harness"]
ROOT = Path(__file__).parent.parent

# For a command to end by itself; far more than any takes, also on a busy machine.
HANGS_AFTER_S = 120

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
        out, err = process.communicate(timeout=HANGS_AFTER_S)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """As run(), but in this process, which saves the second that a new one takes to load pandas."""
    words = [str(argument) for argument in arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(words)
        except SystemExit as end:  # argparse's way to refuse
            code = int(end.code or 0)
        finally:
            gc.enable()  # `compare` disables it, for as long as its process lives
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
