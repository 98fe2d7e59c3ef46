"""Tests side by side (pytest -n): which worker takes which test, and how the others keep out of the host's way.

The first worker is the host's: it stays in the namespaces in which pytest was started and runs the tests on real links,
one after another, at normal priority, so that the CPUs are theirs whenever they need them. Every other worker lowers
its priority and computes while the links wait; where root started it, it also moves into namespaces of its own, with
its own /run/netns and /run/pollbench. What a test leaves behind is then always found by the worker that ran it.
Some tests on real links are such work too (ASIDE): what they measure is not the matter.
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
# Of tests/netns, those that measure nothing that matters and set nothing that no namespace hides.
ASIDE = {
    f"tests/netns/test_{name}.py"
    for name in (
        *("ci", "descendants", "docs_run", "engines", "fleet", "fleet_dask", "fleet_faults", "fleet_page"),
        *("import_real", "mininet", "newcomer", "node_sysctls", "overlays", "planted", "remains", "signals"),
        *("switched_links", "tune", "two_hosts", "two_hosts_lost", "used_again"),
        *("descendants", "engines", "fleet", "fleet_dask", "fleet_faults", "fleet_page", "import_real", "mininet"),
        *("newcomer", "nic_lease", "node_sysctls", "overlays", "planted", "remains", "routing", "signals"),
        *("switched_links", "two_hosts_lost", "used_again"),
    )
}
# Of tests/vm, those whose tests share a guest; others are handed out one by one.
WHOLE = {"tests/vm/test_one_guest.py"}
# They read the same code, which is parsed once a process: one worker takes them all.
_READERS = {f"tests/test_{name}.py" for name in ("architecture", "dependencies", "house", "isolation")}
# About how many seconds units take on a quiet machine that take more than five: nobody is to begin one when the rest is
# done. `pytest --timeline FILE` measures them; a unit that is not here counts a tenth of a second for each test.
SECONDS: dict[str, int] = {
    "tests/test_house.py": 10,
    "tests/netns/test_engines.py": 60,
    "tests/netns/test_fleet.py": 95,
    "tests/netns/test_fleet_dask.py": 25,
    "tests/netns/test_fleet_faults.py": 130,
    "tests/netns/test_fleet_page.py": 22,
    "tests/netns/test_mininet.py": 10,
    "tests/netns/test_planted.py": 8,
    "tests/netns/test_signals.py": 20,
    "tests/netns/test_two_hosts_lost.py": 65,
    "tests/unit/test_compare_experiments.py": 10,
    "tests/unit/test_csv_pandas.py": 8,
    "tests/unit/test_fleet_parts.py": 15,
    "tests/unit/test_gallery.py": 9,
    "tests/unit/test_harmless.py": 14,
    "tests/unit/test_import_account.py": 6,
    "tests/unit/test_import_command.py": 15,
    "tests/unit/test_import_fuzz.py": 24,
    "tests/unit/test_mininet_input.py": 9,
    "tests/unit/test_playbooks.py": 16,
    "tests/unit/test_plot.py": 20,
    "tests/chromium": 10,
    "tests/unit/test_report_html.py": 13,
    "tests/unit/test_store_crash.py": 9,
    "tests/vm/test_guest.py::test_a_full_output_disk_is_named": 10,
    "tests/vm/test_guest.py::test_a_kernel_that_dies_is_no_result_and_the_others_go_on": 25,
    "tests/vm/test_guest.py::test_the_gallery_s_files_share_a_boot_and_need_no_root": 14,
    "tests/vm/test_guest.py::test_the_same_tables_without_root": 28,
    "tests/vm/test_guest.py::test_two_boots_in_model_time_are_the_same_to_the_microsecond": 45,
    "tests/vm/test_guest.py::test_what_a_kernel_does_not_take_is_no_result": 30,
    "tests/vm/test_image.py::test_export_and_import_give_the_same_image": 8,
    "tests/vm/test_image.py::test_two_builds_are_identical": 100,  # where packages are newer than the lock
    "tests/vm/test_one_guest.py": 70,
    "tests/vm/test_shell.py::test_a_shell_has_the_terminal_and_real_nics": 27,
    "tests/vm/test_snapshots.py::test_a_guest_is_saved_once_and_one_that_was_damaged_is_saved_again": 30,
    "tests/vm/test_snapshots.py::test_in_model_time_resumed_guests_are_the_same_to_the_ns_and_repetitions_are_not": 65,
}
# One worker takes all of these, so that one browser is started and the pages are made once.
_BROWSER = "tests/chromium"
_LOW_PRIORITY = 19
# Version 1 of control groups: with version 2 and systemd, sessions are in groups with weights and not in autogroups.
_ASIDE_GROUP = Path("/sys/fs/cgroup/cpu/pollbench-tests")
# Of the 1,024 of everything else together. A new group has no real-time class at all where it is limited by groups.
_ASIDE_LIMITS = {"cpu.shares": 30, "cpu.rt_runtime_us": 900_000}
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
        _weigh_little()
        isolate()


def _weigh_little() -> None:
    """Give this process, and all that it starts, together the weight of two programs of low priority.

    Where control groups leave the CPUs to the kernel's autogroups, each session has a weight of its own, whatever the
    priority of what runs in it: the sshd of a host, and each login of it, would count for as much as a measurement.
    """
    if os.geteuid() != 0 or not (_ASIDE_GROUP.parent / "cpu.shares").exists():
        return
    _ASIDE_GROUP.mkdir(exist_ok=True)
    for file, value in _ASIDE_LIMITS.items():
        with contextlib.suppress(FileNotFoundError):
            (_ASIDE_GROUP / file).write_text(str(value))
    (_ASIDE_GROUP / "cgroup.procs").write_text(str(os.getpid()))


def _leave_no_group() -> None:
    # A program that outlives the session keeps it: the next session takes it as it is.
    with contextlib.suppress(OSError):
        _ASIDE_GROUP.rmdir()


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
    """The lane of a unit of work: "links" for tests/netns or, of some, "aside"; "guests" for tests/vm; else "free"."""
    if unit in ASIDE:
        return "aside"
    parts = unit.split("/")
    return {"netns": "links", "vm": "guests"}.get(parts[1] if len(parts) > 1 else "", "free")


def lanes_of(worker: str, host_lives: bool) -> tuple[str, ...]:
    """The lanes of a worker, that first in which it works as long as there is something."""
    # Where the host's worker has died, its tests fail rather than wait for ever.
    links = () if host_lives and worker != HOST_WORKER else ("links",)
    first = {"gw1": "guests", "gw2": "aside"}.get(worker, "free")
    return (*links, first, *(lane for lane in ("free", "aside", "guests") if lane != first))


def seconds_of(unit: str, tests: int) -> float:
    """About how long a unit of so many tests takes on a quiet machine."""
    return SECONDS.get(unit, tests / 10)


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out whole files (of guests' tests, single tests): links to the host's worker only, long ones first."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(_BROWSER):
            return _BROWSER
        file = nodeid.split("::", 1)[0]
        if file in _READERS:
            return "tests/test_house.py"
        return nodeid if lane_of(file) == "guests" and file not in WHOLE else file

    def schedule(self) -> None:
        """Start, with the host's worker first: of workers too many for the work, the last ones are let go."""
        for node in sorted(self.assigned_work, key=lambda node: str(node.gateway.id) != HOST_WORKER):
            self.assigned_work[node] = self.assigned_work.pop(node)
        super().schedule()

    def _next_unit(self, node: WorkerController) -> str | None:
        """The unit that the worker is to take next; None where there is none for it."""
        ids = {str(other.gateway.id) for other in self.nodes}
        for lane in lanes_of(str(node.gateway.id), HOST_WORKER in ids):
            if units := [str(unit) for unit in self.workqueue if lane_of(unit) == lane]:
                return max(units, key=lambda unit: seconds_of(unit, len(self.workqueue[unit])))
        return None

    def _assign_work_unit(self, node: WorkerController) -> None:
        unit = self._next_unit(node)
        if unit is None:
            node.shutdown()
            return
        self.workqueue.move_to_end(unit, last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        """Give a worker its next unit when it has begun its last test, no sooner: who holds one keeps it from others.

        (It begins a test only when it knows the next one, or that there is none.)
        """
        if not node.shutting_down and self._pending_of(self.assigned_work[node]) <= 1:
            self._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    """The scheduler of a session with workers."""
    config.add_cleanup(_leave_no_group)
    return Lanes(config, log)
