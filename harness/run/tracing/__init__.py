"""Traces the measured window of a run: sparse events of the kernel, in rings that nobody reads meanwhile."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from harness.errors import MissingError
from harness.kernel import processes, tracefs
from harness.kernel.journal import Journal
from harness.kernel.tracefs import Instance
from harness.run.outcome import Report
from harness.run.tracing import events
from harness.run.wire import Records, exchanges
from harness.spec.cells import CellSpec
from harness.store import samples as parquet
from harness.store.trace import EVENTS_FILE, META_FILE, REQUEST_DTYPE, REQUESTS_FILE, Meta, to_json
from harness.testbed import Testbed
from harness.workloads import Workload

# A busy CPU of a ping-pong writes 5 MB of events a second; a ring that is full takes no more, and the run is no use.
_BYTES_PER_S = 16 << 20
_LEAST_BYTES = 8 << 20
_MEMORY_SHARE = 0.125
_AROUND_S = 0.5


@dataclass
class Tracer:
    """Traces one run. Nothing is done to the host before `window`, and nothing is left of it after.

    polls: those of NAPIs, too. encode: makes the file of the events, None where they are left to whoever has `records`
    (a guest has no Parquet).
    """

    polls: bool = False
    encode: Callable[[npt.NDArray[Any]], bytes] | None = parquet.encode
    records: npt.NDArray[Any] | None = None
    meta: Meta | None = None

    @contextmanager
    def window(
        self,
        spec: CellSpec,
        testbed: Testbed,
        journal: Journal,
        cpus: Collection[int],
        pids: Mapping[str, Sequence[int]],
    ) -> Iterator[None]:
        """Trace for the block; at its end the events are read and the instance is gone.

        cpus: those to trace; pids: the processes of our programs by label. Raises MissingError where the kernel has
        no tracefs, PollbenchError, OSError.
        """
        tids = {label: tuple(tid for pid in of_it for tid in processes.tasks(pid)) for label, of_it in pids.items()}
        shaped = {name: tuple(port.device for port in node.ports if port.discs) for name, node in testbed.nodes.items()}
        devices = {device for names in shaped.values() for device in names}
        ordered = sorted(cpus)
        with instance(journal) as trace:
            filters, lacking = events.chosen((tid for of_it in tids.values() for tid in of_it), devices, self.polls)
            lacking |= trace.set_up(filters, ordered, _ring_kb(spec, len(ordered)))
            _need_scheduler(lacking)
            begin_ns = time.monotonic_ns()
            trace.on()
            try:
                yield
            finally:
                trace.off()
            end_ns = time.monotonic_ns()
            taken = events.read(trace, ordered, [event for event in filters if event not in lacking])
            lost = {cpu: trace.lost(cpu) for cpu in ordered}
        self.records, texts = events.parted(taken)
        self.meta = Meta(
            begin_ns=begin_ns,
            end_ns=end_ns,
            cpus=tuple(ordered),
            lost=lost,
            lacking=lacking,
            programs=tids,
            names=texts.names,
            irqs=texts.irqs,
            devices=texts.devices,
            napis=texts.napis,
            shaped=shaped,
        )

    def finish(self, client: Report, workload: Workload, passed: Records | None) -> dict[str, bytes]:
        """The files of the trace, once the client has reported; none where nothing was traced.

        passed: its packets, of a program that tells nothing.
        """
        if self.meta is None or self.records is None:
            return {}
        tids = tuple(int(tid) for tid in client.get("tids", ()))
        programs = self.meta.programs | {"client": tuple({*self.meta.programs.get("client", ()), *tids})}
        meta = replace(
            self.meta,
            programs=programs,
            start_ns=int(client.get("start_ns") or 0),
            client_tids=tids,
            connections=int(client.get("connections") or 1),
            timed=workload.can_be_timed(),
        )
        kept = {} if self.encode is None else {EVENTS_FILE: self.encode(self.records)}
        if passed is not None:
            ahead_ns = _realtime_ahead_ns()
            inside = passed[passed["at_ns"] >= meta.begin_ns + ahead_ns]  # before it a client may fill its server
            with contextlib.suppress(ValueError):  # it pipelines: its requests cannot be told
                requests = exchanges(inside, workload.transport())
                meta = replace(meta, start_ns=requests.start_ns - ahead_ns, by_packets=True)
                kept[REQUESTS_FILE] = requests.samples.astype(REQUEST_DTYPE).tobytes()
        return kept | {META_FILE: to_json(meta)}


@contextmanager
def instance(journal: Journal) -> Iterator[Instance]:
    """Trace buffers of our own for the block, noted before they are made. Raises MissingError, OSError."""
    with tracefs.opened() as root:
        name = tracefs.PREFIX + journal.token
        number = journal.note("tracing", name=name)
        journal.identify(number, tracefs.make(root, name))
        try:
            yield Instance(root, name)
        finally:
            tracefs.remove(root, name)
            journal.done(number)


def _realtime_ahead_ns() -> int:
    """By how much CLOCK_REALTIME, in which packets are stamped, is ahead of CLOCK_MONOTONIC: of the quickest look."""
    looks = []
    for _ in range(9):
        before, real, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        looks.append((after - before, real - (before + after) // 2))
    return min(looks)[1]


def _ring_kb(spec: CellSpec, rings: int) -> int:
    """How large each ring is to be, KiB: enough for the window, and at most a part of the free memory."""
    seconds = spec.workload.life_ns() / 1e9 + _AROUND_S
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return round(min(max(_LEAST_BYTES, seconds * _BYTES_PER_S), free * _MEMORY_SHARE / rings) / 1024)


def _need_scheduler(lacking: Mapping[str, str]) -> None:
    """MissingError where the kernel lacks what nothing can be told without."""
    for event in ("sched/sched_switch", "sched/sched_waking"):
        if event in lacking:
            todo = "take a kernel whose tracefs has the scheduler's events"
            raise MissingError("trace the run", event, lacking[event], todo)
