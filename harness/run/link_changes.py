"""Links that change while they are measured with: the native helper that changes them, and latency by their phases."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import loadgen, stats
from harness.errors import PollbenchError
from harness.kernel import facts, qdiscs
from harness.kernel.memfile import MemoryFile
from harness.kernel.netlink import Request, on_the_wire
from harness.run.counters import HOGS
from harness.run.link_slots import SlottedLinks
from harness.run.outcome import Report
from harness.run.process import NativeProcess, launch_options
from harness.signals import Stopper
from harness.spec.link_changes import Course
from harness.store.record import LinkPhase, Metrics
from harness.testbed import Testbed
from harness.topology.layout import PortLayout
from harness.topology.link_changes import DiscChange, TimedChange, changes_of, undoing
from harness.topology.overlays import wire_mtu

# Beyond this at p99, figures by phase are of another link than is declared. One thread changes all links, so that of
# many which are due together the last is later by as much for each.
_LATE_NS, _LATE_EACH_NS = 1_000_000, 10_000
_SLACK_S = 10.0
# As changes.c has them.
_HEAD, _TRACK = struct.Struct("=8s4I"), struct.Struct("=q4I")
_EVENT, _PLACE = struct.Struct("=qII"), struct.Struct("=II")
_MAGIC, _PATH_BYTES = b"PBLINK01", 256


class LinkChanger:
    """The changes of a run's links, applied by a process of its own; nothing where none of them changes.

    It runs beside the run's CPU set, where there is another CPU, and before whatever else wants its CPU.
    """

    def __init__(self, testbed: Testbed, stopper: Stopper, stack: ExitStack, cpus: set[int]) -> None:
        """Start it, if any link changes. stack: ends it; cpus: the run's. Raises PollbenchError."""
        self._testbed = testbed
        self._ports = list(_changing(testbed))
        self._helper: NativeProcess | None = None
        self._slots = stack.enter_context(SlottedLinks(testbed, self._ports))
        self._slotted: Metrics = {}
        self._by_rate = [port for port in self._ports if port not in self._slots.ports]
        self.report: Report = {}
        self.doubts: list[str] = []
        self.hints: list[str] = []
        if self._slots.missing:
            self.hints.append(f"packet-delivery traces were followed by their rates: {self._slots.missing}")
        if self._by_rate:
            self._start(stopper, stack, sorted(facts.online_cpus() - cpus))

    def families(self) -> dict[str, list[int]]:
        """Its process, if there is one, by the label of counters.HOGS."""
        return {HOGS[2]: [self._helper.pid]} if self._helper is not None else {}

    def begin(self) -> None:
        """Now is the time 0 of all courses."""
        if self._ports:
            begun_ns = time.monotonic_ns()
            self.report = {"begun_ns": begun_ns}
            self._slots.begin(begun_ns)
        if self._helper is not None:
            self._helper.send("go")

    def end(self) -> None:
        """Have every link made what it was before; a helper that failed is a doubt about the run."""
        try:
            self._slotted = self._slots.metrics()
        except OSError as error:
            self.doubts.append(f"the links did not change as declared: {error}")
        self._slots.close()
        if self._helper is None:
            return
        try:
            self.report = self._helper.stop()
        except PollbenchError as error:
            self.report = {}
            self.doubts.append(f"the links did not change as declared: {error}")
            return
        late_ns, limit_ns = self.report["late_p99_ns"], _LATE_NS + _LATE_EACH_NS * (len(self._by_rate) - 1)
        if late_ns > limit_ns:
            of_it = f"{late_ns / 1e3:.0f} us at p99; limit {limit_ns / 1e3:g} us"
            self.doubts.append(f"changes of the links were late by {of_it}")

    def files(self) -> dict[str, bytes]:
        """What it said, by file name."""
        return self._helper.files() if self._helper is not None else {}

    def metrics(self) -> Metrics:
        """Columns of runs.csv: how many changes there were, and how late."""
        if "changes" not in self.report:
            return self._slotted
        late = {f"link_late_{part}_us": self.report[f"late_{part}_ns"] / 1e3 for part in ("p50", "p99", "max")}
        return {"link_changes": self.report["changes"], **late} | self._slotted

    def phases(self, client: Report, samples: npt.NDArray[Any] | None, lasted_ns: int) -> list[LinkPhase]:
        """A row for each phase of each direction that changes. client: the report of whoever took the samples.

        lasted_ns: length of the window, where the client does not say.
        """
        if not self.report:
            return []
        requests = _requests(client, samples, self.report["begun_ns"])
        # The client's window begins a little after the links began to change, and ends as much later.
        late_ns = max(0, int(client["start_ns"]) - self.report["begun_ns"]) if requests is not None else 0
        window = late_ns, late_ns + int(client.get("elapsed_ns") or lasted_ns)
        alike: dict[tuple[int, Course], list[str]] = {}
        for port in self._ports:
            shape = self._testbed.layout.shape(port)
            if shape is not None and shape.course is not None:
                alike.setdefault((port.link, shape.course), [port.node, port.peer_node]).append("both")
        return [
            row
            for (_, course), (start, end, *ways) in alike.items()
            for row in phases_of(f"{start} {'<->' if len(ways) > 1 else '->'} {end}", course, window, requests)
        ]

    def _start(self, stopper: Stopper, stack: ExitStack, free: list[int]) -> None:
        file = stack.enter_context(MemoryFile("pollbench-links"))
        os.write(file.fd, timetable(self._testbed, self._by_rate))
        launch = launch_options(None, {"cpus": free, "policy": "fifo", "priority": 1})
        argv = [str(loadgen.path()), *launch, "links", "--timetable", file.path()]
        self._helper = stack.enter_context(NativeProcess("links", argv, stopper, (file.fd,)))
        self._helper.expect("ready", _SLACK_S)
        if not free:
            self.hints.append("links were changed by a process on the run's own CPUs, since it has all that there are")


class _Messages:
    """Netlink messages in the order in which they are first needed, each once."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def number(self, port: PortLayout, timed: TimedChange) -> int:
        """The number of what makes these changes of a port."""
        wire = on_the_wire([_request(port, change) for change in timed.changes])
        return self._numbers.setdefault(wire, len(self._numbers))

    def packed(self) -> bytes:
        """The place of each, and then all of them; every one begins at a multiple of four, as netlink has them."""
        places, at = [], 0
        for wire in self._numbers:
            places.append(_PLACE.pack(at, len(wire)))
            at += len(wire)
        return b"".join([*places, *self._numbers])

    def __len__(self) -> int:
        return len(self._numbers)


def timetable(testbed: Testbed, ports: Sequence[PortLayout]) -> bytes:
    """All changes of these ports, as the native helper reads them: where, when, and by which netlink messages."""
    nodes = list(dict.fromkeys(port.node for port in ports))
    messages, events, tracks = _Messages(), bytearray(), bytearray()
    for port in ports:
        shape, mtu = testbed.layout.shape(port), wire_mtu(testbed.layout.topology.links[port.link])
        assert shape is not None and shape.course is not None
        first, known = len(events) // _EVENT.size, dict[tuple[int, ...], int]()
        for timed in changes_of(shape, mtu):
            # Of thousands most are one of a few, and those are the same objects.
            key = tuple(map(id, timed.changes))
            if key not in known:
                known[key] = messages.number(port, timed)
            events += _EVENT.pack(timed.at_ns, known[key], 0)
        count, undo = len(events) // _EVENT.size - first, messages.number(port, undoing(shape, mtu))
        tracks += _TRACK.pack(shape.course.period_ns, first, count, nodes.index(port.node), undo)
    paths = b"".join(testbed.nodes[node].netns_path.encode().ljust(_PATH_BYTES, b"\0") for node in nodes)
    head = _HEAD.pack(_MAGIC, len(nodes), len(ports), len(events) // _EVENT.size, len(messages))
    return head + paths + tracks + events + messages.packed()


def _request(port: PortLayout, change: DiscChange) -> Request:
    disc = change.disc
    if change.replaced:
        return qdiscs.block(port.ifindex, disc.parent)
    make = qdiscs.unblock if change.restored else qdiscs.change_qdisc
    return make(port.ifindex, *disc[:4])


def _changing(testbed: Testbed) -> Iterator[PortLayout]:
    """The ports whose direction changes."""
    for port in chain.from_iterable(testbed.layout.links):
        shape = testbed.layout.shape(port)
        if shape is not None and shape.changes is not None:
            yield port


def _requests(
    client: Report, samples: npt.NDArray[Any] | None, begun_ns: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """(when requests were sent or due, since the links began to change; their time, -1 for a lost one), both in ns.

    None of a program that keeps no samples.
    """
    if samples is None or "start_ns" not in client:
        return None
    at_ns = np.asarray(samples["intended_ns"], dtype=np.int64) + (int(client["start_ns"]) - begun_ns)
    return at_ns, np.asarray(samples["latency_ns"], dtype=np.int64)


def phases_of(
    name: str,
    course: Course,
    window: tuple[int, int],
    requests: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None,
) -> list[LinkPhase]:
    """A row for each phase of a direction's course in the window, in ns since it began. requests: as of `_requests`.

    A request belongs to the phase in which it was sent (of an open loop: was due).
    """
    from_ns, until_ns = window
    spans = [(max(since, from_ns), until, one) for since, until, one in course.spans(until_ns) if until > from_ns]
    begins, of_span = np.array([span[0] for span in spans]), np.array([span[2].phase for span in spans])
    at_ns, latency_ns = requests if requests is not None else (np.empty(0, np.int64), np.empty(0, np.int64))
    inside = (at_ns >= from_ns) & (at_ns < until_ns)
    phase_of = of_span[np.searchsorted(begins, at_ns[inside], "right") - 1]
    rows = []
    for number, phase in enumerate(course.phases):
        own = [(until - since, moment.state) for since, until, moment in spans if moment.phase == number]
        if not own:
            continue
        lasted = sum(length for length, _ in own)
        rate, delay, loss = (
            sum(length * (getattr(state, part) or 0) for length, state in own) / lasted
            for part in ("rate_bps", "delay_ns", "loss")
        )
        times = latency_ns[inside][phase_of == number]
        figures = stats.summarise(times) if requests is not None else {}
        rows.append(
            LinkPhase(
                name,
                phase,
                lasted / 1e9,
                0.0 if own[0][1].down else rate,
                delay / 1e6,
                100.0 if own[0][1].down else 100 * loss,
                int(np.count_nonzero(times >= 0)) if requests is not None else None,
                int(np.count_nonzero(times < 0)) if requests is not None else None,
                figures.get("rtt_p50_us"),
                figures.get("rtt_p99_us"),
            )
        )
    return rows
