"""Open vSwitch, and an OpenFlow controller, of a testbed's own: programs in its namespace, files in its directory."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from harness.errors import MissingError, PollbenchError
from harness.kernel.journal import Journal
from harness.kernel.netns import in_netns
from harness.mininet.load import with_last_line
from harness.signals import pause
from harness.spec.topology import Controller
from harness.testbed.daemons import daemon, home_of, own_directory

_LIBRARY = "/usr/lib/openvswitch-switch"  # where Debian keeps the daemon
_NAME = "ovs"
_SCHEMA = "vswitch.ovsschema"
_PATIENCE_S = 10.0
_LISTEN_S, _PAUSE_S = 30.0, 0.02


@contextlib.contextmanager
def open_vswitch(launcher: list[str], journal: Journal) -> Iterator[dict[str, str]]:
    """The environment in which ovs-vsctl finds it, for the length of the block.

    launcher: the command that starts a program in the right namespace. Raises MissingError where it is not installed,
    PollbenchError when it does not start.
    """
    programs = {name: _program(name) for name in ("ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl")}
    home = home_of(_NAME, journal.token)
    environment = os.environ | _variables(home)
    address, database = f"unix:{home}/db.sock", str(home / "conf.db")
    with contextlib.ExitStack() as stack:
        stack.enter_context(own_directory(_NAME, journal))
        _run([programs["ovsdb-tool"], "create", database, _schema(programs["ovsdb-tool"])], environment)
        server = [programs["ovsdb-server"], database, f"--remote=p{address}"]
        stack.enter_context(daemon([*launcher, *server], environment, journal))
        _wait_for(home / "db.sock")
        _run([programs["ovs-vsctl"], "--no-wait", "init"], environment)
        switch = [*launcher, programs["ovs-vswitchd"], address, f"--pidfile={home}/ovs-vswitchd.pid"]
        stack.enter_context(daemon(switch, environment, journal))
        _run([programs["ovs-vsctl"], "-t", "10", "show"], environment)
        yield environment


def variables_of(token: str) -> dict[str, str]:
    """What programs of Open vSwitch need in their environment to find that of a testbed; nothing where it has none."""
    home = home_of(_NAME, token)
    return _variables(home) if home.is_dir() else {}


def _variables(home: Path) -> dict[str, str]:
    return {name: str(home) for name in ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR")}


def _program(name: str) -> str:
    program = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", _LIBRARY]))
    if program is None:
        todo = "install it: apt install openvswitch-switch; or take emulator: {switch: LinuxBridge}"
        raise MissingError("start Open vSwitch", got=f"there is no program {name}", todo=todo)
    return program


def _schema(tool: str) -> str:
    """The database's schema lies beside the programs, wherever these were installed."""
    return str(Path(tool).resolve().parents[1] / "share" / "openvswitch" / _SCHEMA)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise PollbenchError("start Open vSwitch", got=f"no {path.name} after {_PATIENCE_S:g} s")
        pause(0.01)


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise PollbenchError("start Open vSwitch", got=f"{Path(command[0]).name}: {done.stderr.strip()[:200]}")


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
        deadline = time.monotonic() + _LISTEN_S
        while not _listens(netns_fd, controller.port):
            if process.poll() is not None:
                raise _useless(controller, f"it ended with status {process.returncode}", printed)
            if time.monotonic() > deadline:
                got = f"nothing listens on port {controller.port} after {_LISTEN_S:g} s"
                raise _useless(controller, got, printed)
            pause(_PAUSE_S)
        yield f"127.0.0.1:{controller.port}"


def _listens(netns_fd: int, port: int) -> bool:
    with in_netns(netns_fd), socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0


def _useless(controller: Controller, got: str, printed: IO[bytes]) -> PollbenchError:
    printed.seek(0)
    return PollbenchError("start the controller", on=controller.command, got=with_last_line(got, printed.read()))
