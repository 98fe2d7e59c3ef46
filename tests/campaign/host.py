"""Everything of a host that a command could leave changed, looked at before and after, and what differs in words."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.campaign.jail import TEMPORARY, own_group

Look = dict[str, frozenset[str]]
_PATIENCE_S, _AGAIN_S = 30.0, 0.03
_FOREIGN = "pb-abcdef-foreign"
# Written by the kernel as it goes, and by nobody else.
_VOLATILE = re.compile(
    r"/proc/sys/(fs/(dentry-state|inode|file-nr|aio-nr|quota|binfmt)|kernel/(random|ns_last_pid|pty/nr|perf_event_max_s"
    r"ample_rate|tainted)|kernel/spl|net/netfilter/nf_conntrack_count|fs/.*watches)"
)


JAILED = "/proc/sys/net"
"""Sysctls that a jail has of its own; what is above is everybody's, and other programs may change it meanwhile."""


class Host:
    """Looks at the host; the paths of its sysctls are found once, below `top`."""

    def __init__(self, top: str = "/proc/sys") -> None:
        self._sysctls = [
            path
            for directory, _, names in os.walk(top)
            for name in names
            if not _VOLATILE.match(path := f"{directory}/{name}") and os.access(path, os.R_OK)
        ]
        first, second = self._settings(), self._settings()
        moving = {entry.split("=")[0] for entry in first ^ second}
        self._sysctls = [path for path in self._sysctls if path not in moving]

    def look(self) -> Look:
        """Everything as it is now."""
        return {
            "namespace": frozenset(_namespaces()),
            "link": frozenset(_lines("ip", "-o", "-d", "link")) | frozenset(_lines("ip", "-o", "addr")),
            "link in a foreign namespace": frozenset(_lines("ip", "-n", _FOREIGN, "-o", "link")),
            "qdisc": frozenset(_lines("tc", "qdisc", "show"))
            | frozenset(_lines("tc", "-n", _FOREIGN, "qdisc", "show")),
            "sysctl": self._settings(),
            "process": frozenset(_processes()),
            "mount": frozenset(" ".join(line.split()[3:6]) for line in _text("/proc/self/mountinfo").splitlines()),
            "cgroup": frozenset(_groups()),
            "IRQ affinity": frozenset(
                f"{path}={_text(path)}" for path in map(str, Path("/proc/irq").glob("*/smp_affinity"))
            ),
            "file": frozenset(_files()),
        }

    def difference(self, before: Look, patient: bool = True) -> list[str]:
        """What differs, in words; the kernel and dying processes have a moment."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            now = self.look()
            left = [
                f"{kind} {word}: {entry}"
                for kind, entries in before.items()
                for word, some in (("left", now[kind] - entries), ("gone", entries - now[kind]))
                for entry in sorted(some)
            ]
            if not left or not patient or time.monotonic() > deadline:
                return left
            time.sleep(_AGAIN_S)

    def _settings(self) -> frozenset[str]:
        return frozenset(f"{path}={_text(path)}" for path in self._sysctls)


def in_words(fault: str, left: list[str]) -> str:
    """What went wrong with a command, and the first things that it left, as one line."""
    return "; ".join(text for text in (fault, *left[:4]) if text)[:900]


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace").strip()
    except OSError as error:
        return f"({error.strerror})"


def _lines(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() or [done.stderr]


def _namespaces() -> Iterator[str]:
    """By name, and without one: those that processes are in."""
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir("/run/netns"):
            with contextlib.suppress(FileNotFoundError):
                yield f"{entry.name} [{entry.stat().st_ino}]"
    for pid in _pids():
        with contextlib.suppress(OSError):
            yield f"of a process: {os.readlink(f'/proc/{pid}/ns/net')}"


def _pids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def _processes() -> Iterator[str]:
    for pid in _pids():
        name, _, rest = _text(f"/proc/{pid}/stat").partition(" (")[2].rpartition(") ")
        fields = rest.split()
        if len(fields) > 19:  # state, parent, ..., start time
            yield f"{pid} {name} since {fields[19]}"


def _groups() -> Iterator[str]:
    own = own_group()
    for top in [own] if own else []:
        for directory, _, _ in os.walk(top):
            yield directory
    for top in Path("/sys/fs/cgroup").glob("*"):
        yield from (str(path) for path in top.glob("pollbench-*") if own is None)


def _files() -> Iterable[str]:
    """Below /run, and in the directories for temporary files; not what is on its way within other programs' own."""
    for top in ("/run", str(TEMPORARY), "/dev/shm"):
        for directory, folders, names in os.walk(top):
            folders[:] = [name for name in folders if name != "netns"]
            yield from (f"{directory}/{name}" for name in (*folders, *names))


@contextmanager
def foreign_things() -> Iterator[None]:
    """Things of somebody else's, named as if they were ours: no clean may touch them."""
    run = subprocess.run
    with ExitStack() as stack:
        run(["ip", "netns", "add", _FOREIGN], check=True)
        stack.callback(run, ["ip", "netns", "del", _FOREIGN], check=True)
        for words in (
            ["link", "add", "pb-foreign", "type", "veth", "peer", "name", "eth0"],
            ["link", "set", "pb-foreign", "up"],
        ):
            run(["ip", "-n", _FOREIGN, *words], check=True)
        run(["tc", "-n", _FOREIGN, "qdisc", "add", "dev", "pb-foreign", "root", "pfifo", "limit", "77"], check=True)
        sleeper = subprocess.Popen(["ip", "netns", "exec", _FOREIGN, "sleep", "infinity"])
        stack.callback(sleeper.wait)
        stack.callback(sleeper.kill)
        if (own := own_group()) is not None:
            group = own / "pollbench-foreign"
            group.mkdir()
            stack.callback(group.rmdir)
        yield
