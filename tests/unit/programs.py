"""Programs of a run that only write down what is asked of them, and a testbed without a kernel under it."""

from __future__ import annotations

import contextlib
import itertools
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from harness import loadgen
from harness.kernel import cgroup
from harness.kernel.proc import ProcessUsage
from harness.run import counters, measure, session, standing, tcp_settings
from harness.run import knobs as apply
from harness.spec.topology import Topology
from harness.store import SAMPLE_DTYPE
from harness.testbed import NodeHandle, Testbed
from harness.topology.layout import plan_layout

GENERATOR = Path("/opt/loadgen")
SAMPLES = np.zeros(3, SAMPLE_DTYPE)
# No process has such a number: whoever looks for it finds that it has gone.
_PIDS = itertools.count(2**22 + 1)


@dataclass
class Stage:
    """What the programs of a test have in common.

    log: every word between them and the harness, led by the program's label; made: the programs by label; prints: what
    external ones print, by label; unsaid: patterns that are never found in it; listening: (process numbers, protocol,
    port) whenever it was looked whether somebody listens.
    """

    log: list[tuple[Any, ...]] = field(default_factory=list)
    made: dict[str, Program] = field(default_factory=dict)
    prints: dict[str, str] = field(default_factory=dict)
    unsaid: set[str] = field(default_factory=set)
    listening: list[tuple[list[int], str, int]] = field(default_factory=list)

    def of(self, label: str) -> list[tuple[Any, ...]]:
        """What was said between one program and the harness."""
        return [words[1:] for words in self.log if words[0] == label]

    def order(self, *words: str) -> list[str]:
        """Whose turn it was, by label, each time one of these words was said."""
        return [said[0] for said in self.log if said[1] in words]


class Program:
    """A program that lives until it is ended."""

    stage: Stage

    def __init__(self, label: str, argv: list[str], stopper: object, pass_fds: tuple[int, ...] = ()) -> None:
        self.label, self.argv, self.stopper, self.pass_fds = label, argv, stopper, pass_fds
        self.pid = next(_PIDS)
        self.usage = ProcessUsage(cpu_ns=700, voluntary=3)
        self.stage.made[label] = self
        self.note("start")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.note("end")

    def note(self, *words: Any) -> None:
        self.stage.log.append((self.label, *words))

    def family(self) -> list[int]:
        return [self.pid]

    def files(self) -> dict[str, bytes]:
        return {f"{self.label}.txt": self.label.encode()}


class Native(Program):
    """Our own generator."""

    def expect(self, event: str, timeout_s: float, others: Sequence[Program] = ()) -> dict[str, Any]:
        self.note("expect", event, timeout_s, [other.label for other in others])
        return {"event": event, "port": 4711, "of": self.label}

    def send(self, word: str) -> None:
        self.note("send", word)

    def stop(self) -> dict[str, Any]:
        self.note("stop")
        return {"event": "result", "of": self.label}


class External(Program):
    """One that nobody modified."""

    def wait_until(
        self, ready: Callable[[], bool], sign: str, timeout_s: float, others: Sequence[Program] = ()
    ) -> None:
        self.note("wait until", ready(), sign, timeout_s, [other.label for other in others])

    def says(self, pattern: str) -> bool:
        return pattern not in self.stage.unsaid

    def says_in_time(self, pattern: str) -> bool:
        return self.says(pattern)

    def wait(self, deadline: float, others: Sequence[Program] = ()) -> bool:
        self.note("wait", [other.label for other in others])
        return False

    def wait_end(self, timeout_s: float, others: Sequence[Program] = ()) -> None:
        self.note("wait for its end", timeout_s, [other.label for other in others])

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 3.0) -> None:
        self.note("stop", signal.Signals(number).name, timeout_s)

    def output(self) -> str:
        return self.stage.prints.get(self.label, "")

    def said(self) -> str:
        return f"it said: {self.output()}"


@dataclass
class Journal:
    """A journal that keeps what is noted."""

    token: str = "token"
    noted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def note(self, kind: str, **facts: Any) -> None:
        self.noted.append((kind, facts))


def set_stage(patch: pytest.MonkeyPatch) -> Stage:
    """Let sessions start such programs from now on, and let no run ask the kernel for its nodes."""
    stage = Stage()
    native = type("Native", (Native,), {"stage": stage})
    external = type("External", (External,), {"stage": stage})
    for module in (session, measure):
        patch.setattr(module, "NativeProcess", native, raising=False)
        patch.setattr(module, "ExternalProcess", external, raising=False)
    patch.setattr(loadgen, "path", lambda: GENERATOR)
    patch.setattr(cgroup, "run_group", lambda _journal, _namespaces: contextlib.nullcontext())
    patch.setattr(session, "require_program", lambda *_: None)
    patch.setattr(session, "read_samples", lambda _fd: SAMPLES)

    def listens(_netns: int, pids: list[int], protocol: str, port: int) -> bool:
        stage.listening.append((pids, protocol, port))
        return True

    patch.setattr(session, "listens", listens)
    for module in (measure, counters, standing, apply, tcp_settings):
        patch.setattr(module, "in_netns", lambda _fd: contextlib.nullcontext())
    patch.setattr(counters, "link_stats", lambda _fd: {"eth0": {"rx_packets": 3, "tx_packets": 4}})
    for module in (counters, standing):
        patch.setattr(module, "qdisc_dump", lambda _fd: [])
        patch.setattr(module, "sysfs_of", no_sysfs)
    return stage


@contextlib.contextmanager
def no_sysfs(_fd: int) -> Iterator[None]:
    """The /sys of a namespace in which nothing is looked for."""
    yield


def bed_of(topology: Topology) -> Testbed:
    """The topology's nodes, without a device in any of them."""
    nodes = {name: NodeHandle(name, f"ns-{name}", f"/run/netns/ns-{name}", -1, ()) for name in topology.nodes}
    return Testbed("token", nodes, plan_layout(topology), [])
