"""A traced run as questions are asked of it: its requests, and all of its trace that is looked up for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from harness.analysis.tail.timeline import Cpu, Events, Stolen, Task, cpus_of, tasks_of
from harness.store.trace import NET_RX, Kind, Meta


class Cause(NamedTuple):
    """What held a request up. kind: one of KINDS in causes.py; who: program, interrupt, device; pid: its task, or 0."""

    kind: str
    who: str = ""
    pid: int = 0
    cpu: int = -1


OWN = Cause("own")


class Piece(NamedTuple):
    """A stretch of a request's way, ns."""

    begin: int
    end: int
    segment: str
    cause: Cause


class Request(NamedTuple):
    """One request: when it was due and sent, when the server took and answered it, when the reply was there, ns.

    client, server: the tasks.
    """

    number: int
    due: int
    sent: int
    taken: int
    answered: int
    received: int
    client: int
    server: int


@dataclass
class Trace:
    """A trace ready to be asked."""

    meta: Meta
    cpus: dict[int, Cpu]
    tasks: dict[int, Task]
    stolen: dict[int, Stolen]
    times: dict[Kind, list[int]]
    faults: dict[int, list[int]]
    queued: dict[int, list[tuple[int, int, int]]]
    left: dict[int, list[int]]
    raised: dict[int, list[int]]
    signals: list[tuple[int, int, int]]
    served: dict[int, tuple[list[int], list[int], list[int]]]
    relays: dict[int, Task]
    acts: dict[int, list[int]]
    """When each client sent a request or had a reply."""
    handers: dict[int, frozenset[int]] = field(default_factory=dict)
    order: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    """In model time when each event was, and on which CPU, as time goes; else empty."""

    def name(self, tid: int) -> str:
        """A task in words: our program's label, or its own name."""
        return self.meta.label(tid) or self.meta.names.get(tid, f"task {tid}")

    @property
    def in_turns(self) -> bool:
        """Is it of a guest in model time, whose CPUs take turns?"""
        return bool(self.order[0])

    def task(self, tid: int) -> Task:
        """An end of the requests, or a kernel thread between them."""
        return self.relays.get(tid) or self.tasks[tid]


_RELAYS = ("napi/", "backlog_napi/")
"""Names of the kernel's threads that take packets in for a device or a CPU begin so."""


def trace_of(events: Events, meta: Meta, requests: list[Request], *, model_time: bool = False) -> Trace:
    """The trace with all that questions need looked up; model_time: of a guest whose CPUs take turns."""
    cpus = cpus_of(events, meta)
    tids = {tid for request in requests for tid in (request.client, request.server)}
    kinds = events["kind"]
    due = events[(kinds == Kind.SOFTIRQ_RAISE) & (events["a"] == NET_RX)]
    queued: dict[int, list[tuple[int, int, int]]] = {}
    for ns, pid, packet, device in events[kinds == Kind.QUEUE][["ns", "pid", "a", "b"]].tolist():
        queued.setdefault(pid, []).append((ns, packet, device))
    left: dict[int, list[int]] = {}
    for ns, packet in events[kinds == Kind.XMIT][["ns", "a"]].tolist():
        left.setdefault(packet, []).append(ns)
    served: dict[int, tuple[list[int], list[int], list[int]]] = {}
    for tid in {request.server for request in requests}:
        own = sorted((request.taken, request.answered, request.number) for request in requests if request.server == tid)
        served[tid] = tuple(map(list, zip(*own, strict=True)))  # type: ignore[assignment]
    acts: dict[int, list[int]] = {}
    for request in requests:
        acts.setdefault(request.client, []).extend((request.sent, request.received))
    return Trace(
        meta=meta,
        cpus=cpus,
        tasks=tasks_of(tids, events, cpus),
        stolen={} if model_time else {cpu: Stolen(events[events["cpu"] == cpu], cpus[cpu]) for cpu in meta.cpus},
        times={kind: events["ns"][kinds == kind].tolist() for kind in (Kind.NAPI_TIMER,)},
        faults={tid: events["ns"][(kinds == Kind.FAULT) & (events["pid"] == tid)].tolist() for tid in tids},
        queued=queued,
        left=left,
        raised={cpu: due["ns"][due["cpu"] == cpu].tolist() for cpu in meta.cpus},
        signals=[tuple(row) for row in events[kinds == Kind.SIGNAL][["ns", "b", "pid"]].tolist()],
        served=served,
        relays=tasks_of((tid for tid, name in meta.names.items() if name.startswith(_RELAYS)), events, cpus),
        acts={tid: sorted(times) for tid, times in acts.items()},
        order=_order(events) if model_time else ([], []),
    )


def _order(events: Events) -> tuple[list[int], list[int]]:
    ordered = events[np.argsort(events["ns"], kind="stable")]
    return ordered["ns"].tolist(), ordered["cpu"].tolist()


def requests_of(columns: Mapping[str, np.ndarray], meta: Meta) -> list[Request]:
    """The requests of a run that were answered, with both ends' times where the server told them.

    columns: of the samples. One without them is left out: it is not joined.
    """
    latency, due = columns["latency_ns"], columns["intended_ns"] + meta.start_ns
    received = due + latency
    sent = received - columns["service_ns"]
    taken, answered = columns["server_received_ns"], columns["server_sent_ns"]
    known = (latency >= 0) & (taken != -(2**63))
    taken, answered = taken + meta.start_ns, answered + meta.start_ns
    known &= (due <= sent) & (sent <= taken) & (taken <= answered) & (answered <= received)
    known &= (due >= meta.begin_ns) & (received <= meta.end_ns)
    threads = np.array(meta.client_tids or (0,))
    shares = [meta.connections // len(threads) + (i < meta.connections % len(threads)) for i in range(len(threads))]
    ends = np.cumsum(shares)
    client = threads[np.minimum(np.searchsorted(ends, columns["connection"], side="right"), len(threads) - 1)]
    table = (np.arange(len(latency)), due, sent, taken, answered, received, client, columns["server_tid"])
    return [Request(*row) for row in zip(*(column[known].tolist() for column in table), strict=True)]
