"""An OpenFlow controller of a testbed's own, in the namespace of Mininet's switches."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from harness.errors import MissingError, PollbenchError
from harness.kernel.journal import Journal
from harness.kernel.netns import in_netns
from harness.spec.topology import Controller
from harness.testbed.openvswitch import daemon

_PATIENCE_S, _PAUSE_S = 30.0, 0.02


@contextlib.contextmanager
def controller_running(
    controller: Controller, launcher: Sequence[str], environment: Mapping[str, str], netns_fd: int, journal: Journal
) -> Iterator[str]:
    """Start it and wait until it listens; "127.0.0.1:PORT" for the length of the block.

    launcher: the command that starts a program in the namespace `netns_fd`. Raises MissingError where there is no such
    program, PollbenchError when it ends, or does not listen.
    """
    command = shlex.split(controller.command)
    if shutil.which(command[0], path=environment.get("PATH")) is None:
        todo = "install it, or name its path; Open vSwitch's own: apt install openvswitch-testcontroller"
        raise MissingError("start the controller", got=f"there is no program {command[0]}", todo=todo)
    with tempfile.TemporaryFile() as printed, daemon([*launcher, *command], environment, journal, printed) as process:
        deadline = time.monotonic() + _PATIENCE_S
        while not _listens(netns_fd, controller.port):
            if process.poll() is not None:
                raise _useless(controller, f"it ended with status {process.returncode}", printed)
            if time.monotonic() > deadline:
                raise _useless(
                    controller, f"nothing listens on port {controller.port} after {_PATIENCE_S:g} s", printed
                )
            time.sleep(_PAUSE_S)
        yield f"127.0.0.1:{controller.port}"


def _listens(netns_fd: int, port: int) -> bool:
    with in_netns(netns_fd), socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0


def _useless(controller: Controller, got: str, printed: IO[bytes]) -> PollbenchError:
    printed.seek(0)
    last = printed.read().decode(errors="replace").strip().splitlines()[-1:]
    return PollbenchError("start the controller", on=controller.command, got=": ".join([got, *last])[:400])
