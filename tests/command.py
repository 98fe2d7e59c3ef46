"""The command line as a user's shell starts it, or called in this process where only its words matter."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import subprocess
import sys
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from harness import cli
from tests import forkdoor
from tests.forkserver import Forked, Request, Server, ServerEndedError

COMMAND = [sys.executable, "-m", "harness"]
ROOT = Path(__file__).parent.parent

# For a command to end by itself; far more than any takes, also on a busy machine.
HANGS_AFTER_S = 120

# A user namespace without a mapping: files stay readable, but every privilege is gone and the user is nobody.
UNPRIVILEGED = ("unshare", "--user")


_server: Server | None = None


def start(
    *arguments: str | Path,
    prefix: tuple[str, ...] = (),
    capabilities: Collection[int] | None = None,
    netns: str = "",
    fresh: bool = False,
    **options: Any,
) -> subprocess.Popen[str]:
    """Start a command; the caller waits for it. fresh: by an interpreter of its own, where its start is the matter.

    Else, where nobody could tell the difference, it is forked from a process that has loaded pandas once.
    capabilities: numbers of linux/capability.h; as root it has, and can get, these alone. netns: the name of the
    network namespace in which it runs.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    words = [str(argument) for argument in arguments]
    if not fresh and prefix in ((), UNPRIVILEGED) and not options.keys() - {"cwd", "start_new_session"}:
        request = Request(
            words,
            environment,
            str(options.get("cwd", Path.cwd())),
            new_session=options.get("start_new_session", False),
            unprivileged=bool(prefix),
            capabilities=None if capabilities is None else list(capabilities),
            netns=netns,
        )
        if (server := _serving(environment)) is not None:
            try:
                return Forked(server, request)
            except ServerEndedError as error:
                # The next command has a new one; this one is started as a user starts it.
                warnings.warn(str(error), stacklevel=2)
                _forget()
    if netns:
        prefix = ("nsenter", f"--net=/run/netns/{netns}", "--", *prefix)
    if capabilities is not None:
        bounding = ",".join(["-all", *(f"+cap_{number}" for number in capabilities)])
        prefix = ("setpriv", f"--bounding-set={bounding}", "--inh-caps=-all", "--ambient-caps=-all", "--", *prefix)
    return subprocess.Popen(
        [*prefix, *COMMAND, *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@contextlib.contextmanager
def door(directory: Path) -> Iterator[Path]:
    """A program `pollbench` in a new directory, for shells and other hosts, whose commands are forked as by start()."""
    directory.mkdir()
    real = Path(sys.executable).with_name("pollbench")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = _serving(environment)
    program = forkdoor.write_program(directory, sys.executable, real)
    if server is None:
        yield program
        return
    with Forked(server, Request([], environment, str(ROOT), door=str(directory))) as process:
        forkdoor.await_open(directory)
        try:
            yield program
        finally:
            forkdoor.close(directory)
            out, err = process.communicate(timeout=HANGS_AFTER_S)
    assert not process.returncode, out + err


def _serving(environment: dict[str, str]) -> Server | None:
    """The server of this process, where it may start a command with these variables."""
    global _server
    if _server is None:
        _server = Server()
        atexit.register(_server.close)
    return _server if _server.serves(environment) else None


def _forget() -> None:
    """Have the next command start another server."""
    global _server
    if _server is not None:
        atexit.unregister(_server.close)
        _server = None


def server_pid() -> int:
    """The process from which commands are forked, a child that no test left; 0 where there is none."""
    return 0 if _server is None else _server.pid


def forks_here() -> bool:
    """Is a command of a test forked from where this thread is now, with the variables that it has?"""
    return _server is not None and _server.serves({**os.environ, "PYTHONPATH": str(ROOT)})


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
