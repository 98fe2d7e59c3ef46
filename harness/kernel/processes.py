"""Families of processes: who descends from whom, what they hold open, where they listen, how they end."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import select
import signal
import time
from typing import NamedTuple

from harness.kernel.hostfiles import HOST
from harness.kernel.identity import Identity, of_namespace
from harness.kernel.netns import in_netns, opened, path_of_process
from harness.kernel.proc import start_ticks, stat_fields
from harness.kernel.syscalls import held

_TCP_LISTEN, _UDP_BOUND = "0A", "07"
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_KILL_WAIT_S = 2.0
_NAMED = 8


def tree(root: int) -> list[int]:
    """The process `root` and all that descend from it, parents first; empty when it is gone."""
    children: dict[int, list[int]] = {}
    for pid in map(int, filter(str.isdigit, HOST.list("/proc"))):
        children.setdefault(_parent(pid), []).append(pid)
    if _parent(root) < 0:
        return []
    family = [root]
    for pid in family:
        family += children.get(pid, [])
    return family


def _parent(pid: int) -> int:
    try:
        return int(stat_fields(pid)[1])
    except OSError:  # it ended while we looked
        return -1


def tasks(pid: int) -> list[int]:
    """The threads of a process, by their ids; none where it has gone."""
    return sorted(map(int, HOST.names(f"/proc/{pid}/task")))


class Descriptor(NamedTuple):
    """One open descriptor of a process. inode: of a socket, else 0."""

    fd: int
    target: str
    inode: int


def descriptors(pid: int) -> list[Descriptor]:
    """What a process holds open, by descriptor; empty when it is gone."""
    held = []
    base = f"/proc/{pid}/fd"
    for fd in sorted(map(int, HOST.names(base))):
        try:
            target = os.readlink(f"{base}/{fd}")
        except OSError:  # closed meanwhile
            continue
        match = _SOCKET.fullmatch(target)
        held.append(Descriptor(fd, target, int(match[1]) if match else 0))
    return held


def listens(netns_fd: int, pids: list[int], protocol: str, port: int) -> bool:
    """Does one of these processes listen (TCP), or wait unconnected (UDP), on `port` of the namespace?"""
    with in_netns(netns_fd):
        inodes = _bound(protocol, port)
    held = (descriptor for pid in pids for descriptor in descriptors(pid)) if inodes else ()
    return any(descriptor.inode in inodes for descriptor in held)


def _bound(protocol: str, port: int) -> set[int]:
    """Inodes of the sockets at a port. Source: proc(5), /proc/net/tcp and its kin."""
    state = _TCP_LISTEN if protocol == "tcp" else _UDP_BOUND
    inodes = set()
    for name in (protocol, f"{protocol}6"):
        for line in HOST.lines(f"/proc/thread-self/net/{name}")[1:]:
            fields = line.split()
            if fields[3] == state and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(int(fields[9]))
    return inodes


def in_namespace(identity: Identity) -> list[int]:
    """The processes whose main thread is in the network namespace of this identity, whether it has a name or not."""
    there = []
    for pid in map(int, filter(str.isdigit, HOST.list("/proc"))):
        path = path_of_process(pid)
        with contextlib.suppress(OSError):  # it ended while we looked
            stat = os.stat(path)
            if (stat.st_dev, stat.st_ino) == (identity["dev"], identity["ino"]):
                with opened(path) as fd:
                    there += [pid] if of_namespace(fd) == dict(identity) else []
    return there


def ancestors() -> set[int]:
    """This process, who started it, and so on up."""
    family, pid = set[int](), os.getpid()
    while pid > 0:
        family.add(pid)
        pid = _parent(pid)
    return family


def living(pids: list[int]) -> list[int]:
    """Those that have not ended; one that waits to be reaped has."""
    left = []
    for pid in pids:
        with contextlib.suppress(OSError):
            left += [pid] if stat_fields(pid)[0] not in "ZX" else []
    return left


def named(pids: list[int]) -> str:
    """Processes for a reader: "12 (sleep), 14 (sh)"; of many the first ones."""
    words = [f"{pid} ({HOST.text(f'/proc/{pid}/comm') or 'ended'})" for pid in pids[:_NAMED]]
    return ", ".join(words) + (f" and {len(pids) - _NAMED} more" if len(pids) > _NAMED else "")


Known = dict[int, int]
"""Processes by number, each with when it began."""


def descendants() -> Known:
    """All that descends from this process."""
    return {pid: start_ticks(pid) for pid in tree(os.getpid())[1:]}


def end_known(known: Known) -> None:
    """SIGKILL those of these processes that are still there, whoever their parent is now; waits for their ends."""
    end([pid for pid, started in known.items() if started and start_ticks(pid) == started])


def limit_memory(size: int) -> None:
    """Let no process that descends from this one have more address space than so many bytes, unless it lifts that.

    The limit that it may not lift stays as it is.
    """
    for pid in tree(os.getpid())[1:]:
        with contextlib.suppress(OSError, ValueError):  # it ended while we looked, or may have less already
            _, most = resource.prlimit(pid, resource.RLIMIT_AS)
            resource.prlimit(pid, resource.RLIMIT_AS, (size, most))


def end(pids: list[int], patience_s: float = _KILL_WAIT_S) -> None:
    """SIGKILL processes that are ours, and wait until they are gone or are zombies for their parent to reap."""
    deadline = time.monotonic() + patience_s
    with contextlib.ExitStack() as stack:
        waiting = []
        for pid in pids:
            with contextlib.suppress(OSError):
                fd = stack.enter_context(held(os.pidfd_open(pid)))
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                waiting.append(fd)
        for fd in waiting:
            _ends(fd, max(0.0, deadline - time.monotonic()))


def end_one(pid: int, started: int, number: signal.Signals, patience_s: float) -> bool | None:
    """Send a signal to the process that began at `started`, and to no other that has come by its number since.

    Has it ended within so many seconds? None: it was not there any more.
    """
    with contextlib.suppress(ProcessLookupError), held(os.pidfd_open(pid)) as fd:
        # First the descriptor, then the look: from here on the number cannot change hands unnoticed.
        if started and start_ticks(pid) == started:
            signal.pidfd_send_signal(fd, number)
            return _ends(fd, patience_s)
    return None


def _ends(pidfd: int, patience_s: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(1000 * patience_s))
