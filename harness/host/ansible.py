"""Plays a playbook of ours through ansible-runner: its events as they come, its artifacts where they are kept."""

from __future__ import annotations

import functools
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import InputError, Interrupted, PollbenchError
from harness.host.definition import playbooks_dir
from harness.kernel import keeper, processes
from harness.kernel.scratch import aside

Event = Mapping[str, Any]
_START_S, _ASKS_S = 120.0, 0.3
LOCAL = (
    "localhost ansible_connection=local ansible_python_interpreter={{ansible_playbook_python}} "
    # In quotes: without, an inventory loses the inner ones, and its line is parted at blanks.
    "ansible_remote_tmp=\"{{lookup('ansible.builtin.env', 'TMPDIR')}}\"\n"
)
"""An inventory of this host alone. Its tasks' files, too, lie where a killed play leaves nothing."""


@dataclass(frozen=True)
class Played:
    """How a play ended. status: successful, failed, timeout, canceled; output: what Ansible printed."""

    status: str
    code: int
    output: Path


def load() -> None:
    """Load what a play needs: best while something else is waited for, and before signals merely make a request."""
    import ansible_runner  # noqa: F401

    _checks_host_keys()


def play(
    name: str,
    inventory: Sequence[str],
    variables: Mapping[str, Any],
    artifacts: Path,
    on_event: Callable[[Event], None],
    stopping: Callable[[], bool] | None = None,
    options: Sequence[str] = (),
    forks: int = 0,
    become: bool = False,
    start_s: float = _START_S,
    start_bytes: int = keeper.MOST_BYTES,
) -> Played:
    """Play the playbook `name` on an inventory (paths, as ansible-playbook's -i takes them).

    artifacts: a directory for all that ansible-runner writes; become: whether hosts make us root where neither the
    inventory nor the play says; stopping: asked again and again, ends the play when true;
    start_s, start_bytes: how long Ansible may read the inventory, which may be a program, before the play begins, and
    how much memory each of its processes may have meanwhile.
    Raises Interrupted when it was stopped so, PollbenchError when it does not begin; what happened to hosts is in the
    events, not raised.
    """
    import ansible_runner

    # How often it asks whether to stop, ansible-runner takes from this file alone; else every five seconds.
    (artifacts / "env").mkdir(parents=True, exist_ok=True)
    (artifacts / "env" / "settings").write_text(json.dumps({"pexpect_timeout": _ASKS_S}))
    ident = f"{len(list(artifacts.glob('*-*'))) + 1:03d}-{name}"
    arguments = [word for path in inventory for word in ("-i", path)] + list(options)
    began, starts = time.monotonic(), False
    # What on_event and stopping raise would end in ansible-runner's own thread of control: kept, and raised here.
    caught: list[BaseException] = []

    def hand_on(event: Event) -> bool:
        nonlocal starts
        starts = True
        try:
            on_event(event)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is raised below
            caught.append(error)
        return True

    def late() -> bool:
        if not starts:
            # The play's first task lifts it again, by the callback plugin pollbench_tied.
            processes.limit_memory(start_bytes)
        return not starts and time.monotonic() - began > start_s

    # Its workers and their tasks lead sessions of their own, which ansible-runner's signal does not reach.
    doomed: processes.Known = {}

    def cancelled() -> bool:
        try:
            ends = bool(caught) or late() or (stopping is not None and stopping())
        except Exception as error:  # noqa: BLE001  # as above
            caught.append(error)
            ends = True
        if ends:
            doomed.update(processes.descendants())
        return ends

    checks_host_keys = _checks_host_keys()
    if stopping is not None and stopping():
        raise Interrupted("play", name, "stopped")
    with aside() as scratch:
        thread = ansible_runner.run(
            private_data_dir=str(artifacts),
            artifact_dir=str(artifacts),
            ident=ident,
            playbook=str(playbooks_dir() / f"{name}.yml"),
            # Where the user stands: keys, vaults and inventories are named from there.
            project_dir=os.getcwd(),
            cmdline=shlex.join(arguments),
            extravars=dict(variables),
            # ansible-runner would have no host's key checked; here that is as the user has configured it.
            envvars={
                **environment(scratch, forks),
                "ANSIBLE_HOST_KEY_CHECKING": checks_host_keys,
                "ANSIBLE_BECOME": str(become),
            },
            event_handler=hand_on,
            cancel_callback=cancelled,
            quiet=True,
            suppress_env_files=True,
        )
        processes.end_known(doomed)
    _forget_environment(artifacts / ident / "command")
    if caught:
        raise caught[0]
    if thread.status == "canceled" and late():
        got = f"the inventory is still being read after {start_s:g} s"
        raise PollbenchError(f"play {name}", ", ".join(inventory), got, "see what it, or its program, waits for")
    if thread.status == "canceled":
        raise Interrupted("play", name, "stopped")
    return Played(str(thread.status), int(thread.rc), artifacts / ident / "stdout")


def _forget_environment(path: Path) -> None:
    """ansible-runner notes the whole environment beside the command: it may hold secrets, and is nobody's result."""
    try:
        noted = json.loads(path.read_bytes())
        noted.pop("env", None)
        path.write_text(json.dumps(noted, indent=1))
    except (OSError, ValueError):
        return


@functools.cache
def _checks_host_keys() -> str:
    """Whether Ansible, as it is configured here, checks the keys of hosts."""
    from ansible.config.manager import ConfigManager

    return str(ConfigManager().get_config_value("HOST_KEY_CHECKING"))


def explain(played: Played, attempted: str) -> PollbenchError:
    """The error for a play that did not even begin: Ansible's last words."""
    text = played.output.read_text(errors="replace") if played.output.exists() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = ("ERROR", "fatal", "no hosts", "Could not match", "provided hosts list is empty")
    errors = [line for line in lines if any(word in line for word in telling)] or lines[-1:]
    return PollbenchError(
        attempted, got=" | ".join(errors[:2])[:600] or f"exit code {played.code}", todo=f"see {played.output}"
    )


def refuse_foreign_config() -> None:
    """InputError for an ansible.cfg of the current directory that somebody else could have written.

    Ansible takes it, and the plugins that it names run as whoever starts the play. In a directory that all may write to
    Ansible itself leaves it alone.
    """
    path = os.path.abspath("ansible.cfg")
    if os.environ.get("ANSIBLE_CONFIG") or not os.path.exists(path):
        return
    for name, status in ((path, os.stat(path)), (os.path.dirname(path), os.stat("."))):
        if status.st_uid not in (0, os.geteuid()):
            got = f"{name} belongs to user {status.st_uid}, and what it names would run as user {os.geteuid()}"
            todo = "if it is to be trusted: ANSIBLE_CONFIG=ansible.cfg, else start in another directory"
            raise InputError("take ansible.cfg", got=got, todo=todo)


def environment(scratch: Path, forks: int = 0) -> dict[str, str]:
    """What Ansible needs of us: its own programs on the path, plain text, no questions.

    scratch: what it writes aside on this host goes there; what is killed removes nothing itself.
    """
    return {
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "/usr/bin:/bin")]),
        "ANSIBLE_NOCOLOR": "1",
        # Nobody is there to answer, whatever an ansible.cfg says.
        "ANSIBLE_ASK_PASS": "False",
        "ANSIBLE_ASK_VAULT_PASS": "False",
        "ANSIBLE_BECOME_ASK_PASS": "False",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        # Hosts do not wait for each other.
        "ANSIBLE_STRATEGY": "free",
        # A host that vanishes is noticed; one whose line was bad for a moment is not given up.
        "ANSIBLE_SSH_EXTRA_ARGS": "-o ServerAliveInterval=5 -o ServerAliveCountMax=3",
        "ANSIBLE_SSH_RETRIES": "2",
        # The callback plugin pollbench_tied has the play end with us.
        "POLLBENCH_PARENT": str(os.getpid()),
        "TMPDIR": str(scratch),
        "ANSIBLE_LOCAL_TEMP": str(scratch),
        # For what a play starts here, and outlives it.
        "POLLBENCH_TMPDIR": os.environ.get("TMPDIR", ""),
        "PYTHONWARNINGS": "ignore",
        **({"ANSIBLE_FORKS": str(forks)} if forks else {}),
    }
