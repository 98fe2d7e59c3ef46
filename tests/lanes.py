"""Tests side by side (pytest -n): which worker takes which test, and how the others keep out of the host's way.

The first worker is the host's: it stays in the namespaces in which pytest was started and runs the tests on real links,
one after another, at normal priority, so that the CPUs are theirs whenever they need them. Every other worker lowers
its priority and computes while the links wait; where root started it, it also moves into namespaces of its own, with
its own /run/netns and /run/pollbench. What a test leaves behind is then always found by the worker that ran it.
A fleet of hosts in namespaces is such work too: what it measures is not the matter, and Ansible takes its time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import WorkerController

from harness.kernel import syscalls
from harness.kernel.netns import in_netns

HOST_WORKER = "gw0"
# Not that of two hosts with a wire between them, whose requests are counted.
_FLEETS = ("tests/netns/test_fleet.py",)
# One worker takes all of these, so that one browser is started and the pages are made once.
_BROWSER = "tests/chromium"
_LOW_PRIORITY = 19
_OWN_DIRECTORIES = ("/run/netns", "/run/pollbench")
_CLONE_NEWNS = 0x00020000
_MS_PRIVATE = 1 << 18
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1

# The network namespace of the host, for what must reach the network from a worker in one of its own.
_host_netns: int | None = None


def start_worker(name: str) -> None:
    """Take the worker of that name ("gw1") out of the way of the host's. Once, before its first test."""
    if name != HOST_WORKER:
        os.nice(_LOW_PRIORITY)
        isolate()


def isolate() -> None:
    """Give this thread, if it is root's, namespaces of its own, in which it leaves nothing that others see."""
    if os.geteuid() != 0:
        return
    global _host_netns
    _host_netns = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.unshare(_CLONE_NEWNS | syscalls.CLONE_NEWNET)
    # What is mounted from here on stays unseen outside.
    syscalls.mount("none", "/", "none", syscalls.MS_REC | _MS_PRIVATE)
    for directory in _OWN_DIRECTORIES:
        Path(directory).mkdir(mode=0o755, exist_ok=True)
        syscalls.mount("none", directory, "tmpfs", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


def is_isolated() -> bool:
    """Whether this worker has namespaces of its own."""
    return _host_netns is not None


@contextlib.contextmanager
def in_host_network() -> Iterator[None]:
    """A block whose programs reach the network, also from a worker with a namespace of its own."""
    with contextlib.nullcontext() if _host_netns is None else in_netns(_host_netns):
        yield


@contextlib.contextmanager
def alone_on_host_settings() -> Iterator[None]:
    """A block in which no other test that asks for it changes what no namespace hides, as /proc/sys/vm."""
    with open(__file__) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def lane_of(unit: str) -> str:
    """The lane of a unit of work: "links" for tests/netns or, of some, "fleets"; "guests" for tests/vm; else "free"."""
    if unit.split("::", 1)[0] in _FLEETS:
        return "fleets"
    parts = unit.split("/")
    return {"netns": "links", "vm": "guests"}.get(parts[1] if len(parts) > 1 else "", "free")


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out whole files (of guests' tests, single tests): links to the host's worker only, long ones early."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(_BROWSER):
            return _BROWSER
        return nodeid if lane_of(nodeid) == "guests" else nodeid.split("::", 1)[0]

    def schedule(self) -> None:
        """Start, with the host's worker first: of workers too many for the work, the last ones are let go."""
        for node in sorted(self.assigned_work, key=lambda node: str(node.gateway.id) != HOST_WORKER):
            self.assigned_work[node] = self.assigned_work.pop(node)
        super().schedule()

    def _next_unit(self, node: WorkerController) -> str | None:
        """The unit that the worker is to take next; None where there is none for it."""
        ids = {str(other.gateway.id) for other in self.nodes}
        name = str(node.gateway.id)
        # Where the host's worker has died, its tests fail rather than wait for ever.
        on_host = name == HOST_WORKER or HOST_WORKER not in ids
        lanes = ["links", "fleets", "free", "guests"] if on_host else ["fleets", "free", "guests"]
        if name == "gw1":
            lanes = ["guests", "fleets", "free"]
        for lane in lanes:
            for unit in self.workqueue:
                if lane_of(unit) == lane:
                    return str(unit)
        return None

    def _assign_work_unit(self, node: WorkerController) -> None:
        unit = self._next_unit(node)
        if unit is None:
            node.shutdown()
            return
        self.workqueue.move_to_end(unit, last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        if not node.shutting_down and self.workqueue and self._next_unit(node) is None:
            node.shutdown()
            return
        super()._reschedule(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    """The scheduler of a session with workers."""
    return Lanes(config, log)
