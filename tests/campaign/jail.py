"""Namespaces of the campaign's own: it may kill, fill and forbid as it likes, and disturbs nobody on this host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = Path("/mnt")
"""In the jail: memory, in which everything of the campaign lies, and which is gone with it."""
TEMPORARY = HOME / "tmp"
_INSIDE = "POLLBENCH_CAMPAIGN_JAIL"
_GROUPS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))


def own_group() -> Path | None:
    """The control group of version 2 that the campaign is in; None where there is none."""
    for top in _GROUPS:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::/") and (top / "cgroup.controllers").exists():
                return top / line[4:]
    return None


def entered(words: Sequence[str], hosts_network: bool = False) -> int | None:
    """None in the jail; else the exit code of `python -m tests.campaign WORDS` there.

    Namespaces of mounts, processes and IPC, a control group, and unless hosts_network one of the network: host-wide
    sysctls (busy_read, neighbours) are seen in the host's own network namespace alone.
    """
    if os.environ.get(_INSIDE):
        return None
    group = next((top for top in _GROUPS if (top / "cgroup.controllers").exists()), None)
    own = group / f"campaign-{os.getpid()}" if group else None
    options = [
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--ipc",
        *([] if hosts_network else ["--net"]),
    ]
    program = [sys.executable, "-m", "tests.campaign.jail", str(own or ""), *words]
    try:
        if own:
            own.mkdir()
        return subprocess.run(["unshare", *options, *program], cwd=ROOT, env=os.environ | {_INSIDE: "1"}).returncode
    finally:
        for directory, _, _ in os.walk(own, topdown=False) if own else []:
            os.rmdir(directory)  # all that was in the jail is gone with its first process


def _init(group: str, words: Sequence[str]) -> int:
    """The first process of the jail: reaps whatever is orphaned, as a host's does, and starts the campaign."""
    if group:
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    for where in ("/run", "/dev/shm", str(HOME)):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "campaign", where], check=True)
    TEMPORARY.mkdir(mode=0o1777)
    if not str(ROOT).startswith("/tmp/"):
        subprocess.run(["mount", "--bind", str(TEMPORARY), "/tmp"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        # A shell ignores them for its jobs in the background, which is inherited, and pollbench leaves them ignored.
        signal.signal(number, signal.default_int_handler)
    campaign = os.fork()
    if not campaign:
        environment = os.environ | {"TMPDIR": str(TEMPORARY), "PYTHONPATH": str(ROOT)}
        os.execve(sys.executable, [sys.executable, "-m", "tests.campaign", *words], environment)
    while True:
        pid, status = os.wait()
        if pid == campaign:
            return os.waitstatus_to_exitcode(status) & 0xFF


if __name__ == "__main__":
    sys.exit(_init(sys.argv[1], sys.argv[2:]))
