"""Families of processes: who descends from whom, what they hold open, where they listen, how one ends."""

from __future__ import annotations

import os
import re
import select
import signal
from pathlib import Path
from typing import NamedTuple

from harness.kernel.netns import in_netns

_PROC = Path("/proc")
_TCP_LISTEN, _UDP_BOUND = "0A", "07"
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_KILL_WAIT_MS = 2000


def tree(root: int) -> list[int]:
    """The process `root` and all that descend from it, parents first; empty when it is gone."""
    children: dict[int, list[int]] = {}
    for name in os.listdir(_PROC):
        if name.isdigit():
            children.setdefault(_parent(int(name)), []).append(int(name))
    if not (_PROC / str(root)).exists():
        return []
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _parent(pid: int) -> int:
    try:
        return int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it ended while we looked
        return -1


class Held(NamedTuple):
    """One open descriptor of a process. inode: of a socket, else 0."""

    fd: int
    target: str
    inode: int


def held(pid: int) -> list[Held]:
    """What a process holds open, by descriptor; empty when it is gone."""
    found = []
    base = _PROC / str(pid) / "fd"
    try:
        names = sorted(map(int, os.listdir(base)))
    except OSError:
        return []
    for fd in names:
        try:
            target = os.readlink(base / str(fd))
        except OSError:  # closed meanwhile
            continue
        match = _SOCKET.fullmatch(target)
        found.append(Held(fd, target, int(match[1]) if match else 0))
    return found


def listens(netns_fd: int, pids: list[int], protocol: str, port: int) -> bool:
    """Does one of these processes listen (TCP), or wait unconnected (UDP), on `port` of the namespace?"""
    with in_netns(netns_fd):
        inodes = _bound(protocol, port)
    return any(one.inode in inodes for pid in pids for one in held(pid)) if inodes else False


def _bound(protocol: str, port: int) -> set[int]:
    """Inodes of the sockets at a port. Source: proc(5), /proc/net/tcp and its kin."""
    state = _TCP_LISTEN if protocol == "tcp" else _UDP_BOUND
    inodes = set()
    for name in (protocol, f"{protocol}6"):
        try:
            lines = (_PROC / "thread-self/net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == state and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(int(fields[9]))
    return inodes


def end(pids: list[int]) -> None:
    """SIGKILL processes that are ours, and wait until they are gone or are zombies for their parent to reap."""
    waiting = []
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        except OSError:
            os.close(fd)
            continue
        waiting.append(fd)
    for fd in waiting:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(_KILL_WAIT_MS)
        os.close(fd)
