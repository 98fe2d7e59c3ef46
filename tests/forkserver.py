"""Starts commands by fork from a process that has loaded what they load: the second of imports is spent once.

What it starts is a child of whoever asks, with the arguments, directory, environment, standard streams, signals and
session that an exec of `python -m harness` would have given it, and ends as an interpreter ends. What it cannot show is
how a command starts: its cmdline and environ under /proc are the server's, and every module is loaded already.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests import forkdoor

ROOT = Path(__file__).parent.parent
_PATH = {"PYTHONPATH": str(ROOT)}
_SET_CHILD_SUBREAPER = 36
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_DROP_FROM_BOUNDING_SET = 24
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_BYTES = 1 << 20
_LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
# What an interpreter reads when it starts, or a library when it is loaded: only an exec makes it count.
_READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "MALLOC", "OMP_", "OPENBLAS", "MPL", "ARROW")


def _surroundings() -> tuple[object, ...]:
    """What a child inherits and nobody sends: where it differs from the server's, only an exec of ours will do."""
    spaces = [os.readlink(f"/proc/thread-self/ns/{kind}") for kind in ("mnt", "net", "pid", "user", "ipc", "uts")]
    ignored = [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN]
    limits = [resource.getrlimit(kind) for kind in _LIMITS]
    place = (Path("/proc/thread-self/cgroup").read_text(), os.sched_getaffinity(0), os.nice(0))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return (*spaces, tuple(ignored), tuple(limits), *place, frozenset(blocked), os.getresuid(), os.getgroups())


def _at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_READ_AT_START)}


@dataclass(frozen=True)
class Request:
    """A command to start: words, environment, directory; the rest as in tests.command.

    door: in place of a command, the directory of a door (tests/forkdoor.py), behind which commands are forked.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: str
    new_session: bool = False
    unprivileged: bool = False
    capabilities: list[int] | None = None
    netns: str = ""
    door: str = ""


class ServerEndedError(OSError):
    """Somebody ended the server, or it ended itself."""


class Server:
    """The process that forks. Raises ServerEndedError where it died."""

    def __init__(self) -> None:
        self._at_start, self._surroundings = _at_start(os.environ | _PATH), _surroundings()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_BYTES)
        # A pipe for its streams, as commands have: what an interpreter makes of them is decided when it starts.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forkserver", str(theirs.fileno())],
            cwd=ROOT,
            env=os.environ | _PATH,
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.pid, self._owner = self._process.pid, os.getpid()
        theirs.close()

    def serves(self, env: dict[str, str]) -> bool:
        """Whether a command with these variables can be started by fork, from where this thread is now."""
        return self._at_start == _at_start(env) and self._surroundings == _surroundings()

    def fork(self, request: Request, streams: list[int]) -> int:
        """Start a command; the pid of what is our child from now on."""
        # For a moment we are who orphans fall to: the server's child ends at once, and leaves us its own.
        _subreaper(True)
        try:
            socket.send_fds(self._socket, [json.dumps(asdict(request)).encode()], streams)
            answer = self._socket.recv(64)
        except BrokenPipeError:
            answer = b""
        finally:
            _subreaper(False)
        if not answer:
            said = self._ended()
            raise ServerEndedError(f"the fork server ended with {self._process.returncode}: {said}")
        return int(answer)

    def close(self) -> None:
        """End it; commands that it started go on. In a child that has forked from who started it, leave it alone."""
        self._socket.close()
        if os.getpid() == self._owner:
            self._ended()

    def _ended(self) -> str:
        with self._process as process:
            if process.poll() is None:
                process.kill()
            assert process.stdout is not None
            return process.stdout.read().decode(errors="replace")


class Forked(subprocess.Popen[str]):
    """A command that the server starts in place of an exec; all else is as of any child."""

    def __init__(self, server: Server, request: Request) -> None:
        self._server, self._request = server, request
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        super().__init__(["pollbench", *request.argv], text=True, **pipes)

    # Named by subprocess: how POSIX starts what __init__ has prepared.
    def _execute_child(self, args: Any, *rest: Any) -> None:
        p2cread, _, _, c2pwrite, _, errwrite = rest[9:15]
        self.pid = self._server.fork(self._request, [p2cread, c2pwrite, errwrite])
        self._child_created = True
        # Where that failed, __init__ closes them.
        for fd in (p2cread, c2pwrite, errwrite):
            os.close(fd)


def _subreaper(on: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, int(on), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _serve(connection: socket.socket) -> Request | None:
    """Fork for whoever asks, until nobody does; in a child, what it is to do."""
    while True:
        message, streams, _, _ = socket.recv_fds(connection, _MOST_BYTES, 3)
        if not message:
            return None
        reading, writing = os.pipe()
        if (middle := os.fork()) == 0:
            if (pid := os.fork()) == 0:
                for number, stream in enumerate(streams):
                    os.dup2(stream, number)
                os.closerange(3, max(map(int, os.listdir("/proc/self/fd"))) + 1)
                return Request(**json.loads(message))
            os.write(writing, str(pid).encode())
            os._exit(0)
        # Only now it is the child of who asked.
        os.waitpid(middle, 0)
        connection.send(os.read(reading, 64))
        for stream in (reading, writing, *streams):
            os.close(stream)


def _load() -> None:
    """Whatever any command loads."""
    import harness.cli

    for package in (harness.cli, importlib.import_module("harness.analysis")):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for name in ("pandas", "pyarrow.parquet", "harness.testbed", "harness.run.runner", "rich.table"):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _become(request: Request) -> None:
    """Take the place of a process that was started so, but for the streams."""
    os.chdir(request.cwd)
    os.environ.clear()
    os.environ.update(request.env)
    if request.new_session:
        os.setsid()
    if request.netns:
        with open(f"/run/netns/{request.netns}") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns", request.netns)
    if request.unprivileged and ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")
    if request.capabilities is not None:
        _keep_capabilities(sum(1 << number for number in request.capabilities))
    sys.path[0] = request.cwd
    sys.argv = ["-m", *request.argv]


def _keep_capabilities(mask: int) -> None:
    """Give up all others, for good: neither we nor what we execute can have them, as by an exec of setpriv."""
    libc = ctypes.CDLL(None, use_errno=True)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    dropped = [libc.prctl(_DROP_FROM_BOUNDING_SET, n, 0, 0, 0) for n in range(last + 1) if not mask >> n & 1]
    # Twice 32 bits of what is effective, permitted, inheritable.
    low, high = mask & 0xFFFFFFFF, mask >> 32
    sets = struct.pack("6I", low, low, 0, high, high, 0)
    if any(dropped) or libc.capset(struct.pack("Ii", _CAPABILITY_VERSION_3, 0), sets):
        raise OSError(ctypes.get_errno(), "give up capabilities")


def _leave(code: object) -> None:
    """End as an interpreter does but for taking every module apart, which copies most of the server's memory first.

    Returns where an interpreter may do otherwise: after an interrupt, for threads that it waits for, and where its last
    words cannot be written.
    """
    if not isinstance(code, int) or not 0 <= code < 128 or threading.active_count() > 1:
        return
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except (OSError, ValueError):
        return
    atexit._run_exitfuncs()
    os._exit(code)


def main() -> None:
    """The server; each of its children goes on from here as a command."""
    with contextlib.closing(socket.socket(fileno=int(sys.argv[1]))) as connection:
        _load()
        request = _serve(connection)
        if request is not None:
            connection.detach()
    if request is not None:
        _become(request)
        if request.door:
            asked = forkdoor.let_in(request.door)
            if asked is None:
                return
            _become(Request(**asked))
        try:
            runpy.run_module("harness", run_name="__main__", alter_sys=True)
        except SystemExit as end:
            _leave(end.code)
            raise


if __name__ == "__main__":
    main()
