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
from harness.kernel import identity
from harness.kernel.journal import Journal
from harness.kernel.netns import in_netns
from harness.kernel.proc import start_ticks
from harness.mininet.load import with_last_line
from harness.signals import pause
from harness.spec.topology import Controller

_LIBRARY = "/usr/lib/openvswitch-switch"  # where Debian keeps the daemon
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
    home = _home(journal.token)
    number = journal.note("directory", path=str(home))
    home.mkdir(mode=0o755)
    journal.identify(number, identity.of_path(home))
    environment = os.environ | _variables(home)
    address, database = f"unix:{home}/db.sock", str(home / "conf.db")
    try:
        with contextlib.ExitStack() as stack:
            _run([programs["ovsdb-tool"], "create", database, _schema(programs["ovsdb-tool"])], environment)
            server = [programs["ovsdb-server"], database, f"--remote=p{address}"]
            stack.enter_context(daemon([*launcher, *server], environment, journal))
            _wait_for(home / "db.sock")
            _run([programs["ovs-vsctl"], "--no-wait", "init"], environment)
            switch = [*launcher, programs["ovs-vswitchd"], address, f"--pidfile={home}/ovs-vswitchd.pid"]
            stack.enter_context(daemon(switch, environment, journal))
            _run([programs["ovs-vsctl"], "-t", "10", "show"], environment)
            yield environment
    finally:
        shutil.rmtree(home, ignore_errors=True)
        journal.done(number)


def variables_of(token: str) -> dict[str, str]:
    """What programs of Open vSwitch need in their environment to find that of a testbed; nothing where it has none."""
    home = _home(token)
    return _variables(home) if home.is_dir() else {}


def _variables(home: Path) -> dict[str, str]:
    return {name: str(home) for name in ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR")}


def _home(token: str) -> Path:
    return Path(f"/run/pollbench-ovs-{token}")


def _program(name: str) -> str:
    program = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", _LIBRARY]))
    if program is None:
        todo = "install it: apt install openvswitch-switch; or take emulator: {switch: LinuxBridge}"
        raise MissingError("start Open vSwitch", got=f"there is no program {name}", todo=todo)
    return program


def _schema(tool: str) -> str:
    """The database's schema lies beside the programs, wherever these were installed."""
    return str(Path(tool).resolve().parents[1] / "share" / "openvswitch" / _SCHEMA)


@contextlib.contextmanager
def daemon(
    command: Sequence[str],
    environment: Mapping[str, str],
    journal: Journal,
    output: IO[bytes] | int = subprocess.DEVNULL,
    stdin: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """A program for the length of the block, in a session of its own. output: where its output and errors go."""
    with subprocess.Popen(
        command,
        env=environment,
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=pass_fds,
        start_new_session=True,
    ) as process:
        number = journal.note("process", pid=process.pid, start_ticks=start_ticks(process.pid))
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            journal.done(number)


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
