"""Runs the programs that make and unpack images; none outlives pollbench."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import loadgen
from harness.errors import MissingError, PollbenchError
from harness.run.process import launch_options
from harness.signals import check_stop

ROOM = "free 2 GB in the cache directory (XDG_CACHE_HOME names another) and in TMPDIR"
_FULL = os.strerror(errno.ENOSPC)
_LOOK_S = 0.2
_SBIN = ":/usr/sbin:/sbin"
"""Administrators' programs, such as depmod, are not on every user's path."""


def require(program: str) -> str:
    """The path of a program. Raises MissingError when it is not installed."""
    path = shutil.which(program, path=os.environ.get("PATH", os.defpath) + _SBIN)
    if path is None:
        got, todo = f"there is no program {program}", "tools/os-packages.sh vm"
        raise MissingError("build the image", got=got, todo=todo)
    return path


def environment() -> dict[str, str]:
    """This process's environment, but for what would change an image: the variables that tell Python where to compile.

    One is set for all builds: else the imports of what compiles the image leave files of another kind there first.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1"}


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    inside: Sequence[str] = (),
    with_errors: bool = False,
    todo: str = "",
    timeout_s: float = 600,
) -> str:
    """A program's standard output. The launcher asks the kernel to kill the program when pollbench ends.

    inside: a command that executes the program, as `unshare` does. with_errors: its standard error is returned, too.
    todo: what to advise when it fails.
    Raises MissingError when it is not installed, PollbenchError when it fails or takes longer than timeout_s.
    """
    launcher = [str(loadgen.path()), *launch_options(None, {}), "exec", "--", *inside]
    try:
        with subprocess.Popen(
            [*launcher, require(argv[0]), *argv[1:]],
            cwd=cwd,
            env=env,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if with_errors else subprocess.PIPE,
            text=True,
        ) as process:
            try:
                out, errors = _output(process, timeout_s)
            except BaseException:
                process.kill()
                raise
    except subprocess.TimeoutExpired:
        raise PollbenchError(f"run {argv[0]}", got=f"no end after {timeout_s:g} s") from None
    if process.returncode:
        errors = errors or out
        if _FULL in errors:
            raise PollbenchError("build the image", got=f"{argv[0]}: no space left on the disk", todo=ROOM)
        last = " | ".join(errors.strip().splitlines()[-4:])
        raise PollbenchError(f"run {argv[0]}", got=f"exit code {process.returncode}: {last}", todo=todo)
    return out


def _output(process: subprocess.Popen[str], timeout_s: float) -> tuple[str, str]:
    """What a program prints until it ends. Raises TimeoutExpired, and Interrupted on a stop request meanwhile."""
    deadline = time.monotonic() + timeout_s
    while True:
        check_stop()
        try:
            out, errors = process.communicate(timeout=_LOOK_S)
            return out, errors or ""
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise
