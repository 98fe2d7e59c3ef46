"""What the programs of one run share: the testbed, what was started, and what the journal knows of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from harness.kernel.journal import Journal
from harness.kernel.proc import start_ticks
from harness.run.cgroups import RunCgroups
from harness.run.napi_watch import NapiWatch
from harness.run.process import ChildProcess
from harness.run.socket_options import SocketOptions
from harness.run.tracing import Tracer
from harness.run.two_hosts import Ends
from harness.signals import Stopper
from harness.spec.cells import CellSpec
from harness.testbed import Testbed

_WAITS_AT_MOST_NS = 60 * 10**9


def nothing() -> None:
    """What is done where nobody has anything going on beside a run."""


@dataclass
class RunContext:
    """What all sessions of a run share. Everything started is left with `stack`. tracer: of a traced run, else None.

    alone: as `measure` is given it.
    """

    spec: CellSpec
    testbed: Testbed
    stopper: Stopper
    stack: ExitStack
    cgroups: RunCgroups
    journal: Journal
    ends: Ends
    tracer: Tracer | None = None
    alone: Callable[[], None] = nothing
    socket_options: dict[str, SocketOptions] = field(default_factory=dict)
    children: list[ChildProcess] = field(default_factory=list)
    noted: set[int] = field(default_factory=set)
    watch: NapiWatch = field(default_factory=NapiWatch)

    def note(self, pids: Sequence[int]) -> None:
        """Write processes of external programs into the journal, so that they cannot outlive a killed run for long.

        Our own programs ask the kernel to die with us; one that changes its user, or a grandchild, does not.
        """
        for pid in pids:
            if pid not in self.noted:
                self.noted.add(pid)
                self.journal.note("process", pid=pid, start_ticks=start_ticks(pid))

    def socket_options_of(self, node: str) -> SocketOptions:
        """What sets the sockets of this node's external programs."""
        if node not in self.socket_options:
            self.socket_options[node] = SocketOptions(node, self.spec.settings.get(node, {}))
        return self.socket_options[node]

    def dismiss(self, child: ChildProcess) -> None:
        """Expect this program to end: from now on its end is no failure."""
        if child in self.children:
            self.children.remove(child)

    def background_ns(self, lasting_ns: int) -> int:
        """How long, in ns, an external client in the background must be able to go on to outlast the measured one.

        It is stopped long before that. The time is that of the measured client, and every start, warm-up and delay
        that a run forgives; not more, because programs reserve memory for all of the time that they are given.
        """
        forgiven_ns = sum(
            workload.ramp_ns(measured=False) + workload.allowance_ns() for workload in self.spec.workloads()
        )
        return lasting_ns + min(forgiven_ns, _WAITS_AT_MOST_NS)

    def others(self, child: ChildProcess | None) -> list[ChildProcess]:
        """Every other program of the run: if one of them ends while this one is waited for, that is the failure."""
        return [other for other in self.children if other is not child]
