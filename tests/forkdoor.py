"""A door to tests/forkserver.py: a program `pollbench` for shells and for a fleet's hosts, whose commands are forked.

Who starts it has a small process that hands over its words, directory, variables, streams, ignored signals and
namespaces (of processes, mounts and network), passes signals on, and ends as the command ends; whoever ends it by force
ends the command. Where PYTHONPATH is set, or nobody is behind the door, it executes the real one.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MOST_BYTES = 1 << 20
_END = b"end"
# Of setns: processes (of children to come), mounts, network.
_SPACES = {"pid": 0x20000000, "mnt": 0x00020000, "net": 0x40000000}
_PATIENCE_S = 60
_PROGRAM = """\
#!{python} -IS
import json, os, signal, socket, sys

real = [{real!r}, *sys.argv[1:]]
if "PYTHONPATH" in os.environ:
    os.execv(real[0], real)
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
    try:
        door.connect(f"/proc/self/fd/{{os.open({directory!r}, os.O_RDONLY)}}/door")
    except OSError:
        os.execv(real[0], real)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, {most})
    ignored = [number for number in range(1, 32) if signal.getsignal(number) is signal.SIG_IGN]
    asked = {{"argv": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd(), "ignored": ignored}}
    spaces = [os.open(f"/proc/self/ns/{{kind}}", os.O_RDONLY) for kind in {spaces}]
    socket.send_fds(door, [json.dumps(asked).encode()], [0, 1, 2, *spaces])
    pid = int(door.recv(64) or 0)
    for number in {{1, 2, 3, 15}} - {{*ignored}}:
        signal.signal(number, lambda number, frame: os.kill(pid, number))
    code = int(door.recv(64) or 1)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


def write_program(directory: Path, python: str, real: Path) -> Path:
    """The program, for a door in this directory; real: what it stands for."""
    words = {"python": python, "real": str(real), "directory": str(directory)}
    program = directory / "pollbench"
    program.write_text(_PROGRAM.format(**words, most=_MOST_BYTES, spaces=list(_SPACES)))
    program.chmod(0o755)
    return program


def let_in(directory: str) -> dict[str, Any] | None:
    """Fork for whoever comes, until `close`; in a child, where it comes from, what it is to do: words of a Request."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        with _short(directory) as path:
            door.bind(path)
        door.listen(64)
        while True:
            connection, _ = door.accept()
            message, given, _, _ = socket.recv_fds(connection, _MOST_BYTES, 6)
            if message and message != _END and os.fork() == 0:
                door.close()
                return _led_in(connection, json.loads(message), given)
            for fd in given:
                os.close(fd)
            connection.close()
            # Their CPU time is ours, and with that the test's.
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, 0 if message == _END else os.WNOHANG)[0]:
                    pass
            if message == _END:
                return None


def close(directory: Path) -> None:
    """End what waits behind the door, when the last command has ended."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        with _short(str(directory)) as path:
            door.connect(path)
        door.send(_END)


def await_open(directory: Path) -> None:
    """Wait until somebody is behind the door."""
    deadline = time.monotonic() + _PATIENCE_S
    while not (directory / "door").exists():
        assert time.monotonic() < deadline, "nobody opens"
        time.sleep(0.005)


@contextlib.contextmanager
def _short(directory: str) -> Iterator[str]:
    """A name for the door's socket: its path has to be short, and those of tests are not."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{fd}/door"
    finally:
        os.close(fd)


def _led_in(connection: socket.socket, asked: dict[str, Any], given: list[int]) -> dict[str, Any]:
    """In a child: have one of its own take the place of who asked, and tell how that ends."""
    streams, spaces = given[:3], dict(zip(_SPACES, given[3:], strict=True))
    _join(spaces["pid"], "pid")
    if pid := os.fork():
        _until_over(connection, pid)
    for kind in ("mnt", "net"):
        _join(spaces[kind], kind)
    os.setsid()
    for number in asked.pop("ignored"):
        signal.signal(number, signal.SIG_IGN)
    connection.send(str(os.getpid()).encode())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    connection.detach()
    os.closerange(3, max(map(int, os.listdir("/proc/self/fd"))) + 1)
    return asked


def _join(namespace: int, kind: str) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _SPACES[kind]):
        raise OSError(ctypes.get_errno(), "setns", kind)


def _until_over(connection: socket.socket, pid: int) -> None:
    """Wait for the command, or for the end of who asked, with whom it ends. Does not return."""
    ended = os.pidfd_open(pid)
    ready, _, _ = select.select([connection, ended], [], [])
    if ended not in ready:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):
        connection.send(str(code).encode())
    os._exit(0)
