"""What is kept of links while a run is made, by native helpers: packets, when they passed, how full queues were."""

from __future__ import annotations

import os
import struct
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness import loadgen
from harness.errors import PollbenchError
from harness.kernel import facts
from harness.kernel.memfile import MemoryFile
from harness.run.outcome import Report
from harness.run.process import NativeProcess, launch_options
from harness.run.wire import RECORD, Records
from harness.signals import Stopper
from harness.store.record import QueueSeries
from harness.testbed import Testbed
from harness.topology.layout import PortLayout
from harness.topology.qdiscs import Disc, pace_of

_SLACK_S = 10.0
MOST_POINTS = 500
"""Points of a series: once there are more, two by two become one."""
MOST_PACKETS = 1 << 22
"""That are noted of a run which is timed on the wire, 32 bytes each."""
# As capture.c and queues.c have them.
_TAPS, _TAP_END = struct.Struct("=8s2I"), struct.Struct("=256s40s2I")
_TAP = struct.Struct("=QIi")
_QUEUES, _QUEUE = struct.Struct("=8s2I"), struct.Struct("=256s4I")
_POINT = np.dtype([("samples", "u8"), ("packets", "u8"), ("most_packets", "u4"), ("most_bytes", "u4"), ("drops", "u8")])
# Those that drop what they have taken already, which nothing above them counts.
_DROP_LATER = ("fq_codel", "codel", "cake")


class OnWire(NamedTuple):
    """Whose requests are timed by their packets: the client's node, udp or tcp, the server's port."""

    node: str
    protocol: str
    port: int


_DID = {"capture": "packets were kept", "queues": "queues were looked into", "wire": "requests were timed"}


@dataclass
class _Helper:
    """A native helper, its label, and what it writes."""

    process: NativeProcess
    files: list[MemoryFile]


class LinkWatch:
    """The helpers of a run; none where no link asks for any.

    They run beside the run's CPU set, where there is another CPU. What they cost the packets themselves is in the run's
    figures, and a hint says so.
    """

    def __init__(
        self, testbed: Testbed, stopper: Stopper, stack: ExitStack, cpus: set[int], timed: OnWire | None = None
    ) -> None:
        """Start them. stack: ends them; cpus: the run's; timed: what is timed on the wire. Raises PollbenchError."""
        self._stopper, self._stack, self._free = stopper, stack, sorted(facts.online_cpus() - cpus)
        self._testbed = testbed
        self._helpers: dict[str, _Helper] = {}
        self.doubts: list[str] = []
        self.hints: list[str] = []
        self.series: list[QueueSeries] = []
        self.passed: Records | None = None
        links = testbed.layout.topology.links
        self._captured = [ends for ends in testbed.layout.links if links[ends[0].link].pcap is not None]
        every = [
            (links[port.link].queue_series_ns, port) for ends in testbed.layout.links for port in ends if port.discs
        ]
        self._watched = [port for every_ns, port in every if every_ns is not None]
        if self._captured:
            files = [stack.enter_context(MemoryFile("pollbench-packets")) for _ in self._captured]
            self._start("capture", [], files, self._taps(files))
        if self._watched:
            every_ns = min(every_ns for every_ns, _ in every if every_ns is not None)
            series = stack.enter_context(MemoryFile("pollbench-queues"))
            words = ["--every-ns", str(every_ns), "--points", str(MOST_POINTS), "--series", series.path()]
            self._start("queues", words, [series], self._queues())
        if timed is not None:
            notes = stack.enter_context(MemoryFile("pollbench-wire"))
            words = ["--protocol", timed.protocol, "--port", str(timed.port), "--records", notes.path()]
            self._start("wire", [*self._devices(timed.node), *words, "--most", str(MOST_PACKETS)], [notes])

    def families(self) -> dict[str, list[int]]:
        """Their processes, by their labels of counters.HOGS."""
        return {label: [helper.process.pid] for label, helper in self._helpers.items()}

    def begin(self) -> None:
        """The measured window begins: so do the series."""
        if "queues" in self._helpers:
            self._helpers["queues"].process.send("go")

    def end(self) -> None:
        """The window is over: have them write what they kept. One that failed is a doubt about the run."""
        for label, helper in self._helpers.items():
            try:
                report = helper.process.stop()
            except PollbenchError as error:
                self.doubts.append(f"not kept of the links as declared: {error}")
                continue
            if label == "queues":
                self.series = self._read(report, helper.files[0])
            elif label == "wire":
                self.passed = np.frombuffer(_content(helper.files[0]), RECORD)
                self._timed(report)
            else:
                self.hints.append(self._captured_words(report))

    def files(self) -> dict[str, bytes]:
        """What they said, and the packets of each link in a pcapng file, by file name."""
        out: dict[str, bytes] = {}
        for label, helper in self._helpers.items():
            out |= helper.process.files()
            if label == "capture":
                out |= {_name(*ends): _content(file) for ends, file in zip(self._captured, helper.files, strict=True)}
        return out

    def _start(self, label: str, words: list[str], files: list[MemoryFile], table: bytes = b"") -> None:
        fds = [own.fd for own in files]
        if table:
            listed = self._stack.enter_context(MemoryFile(f"pollbench-{label}-list"))
            os.write(listed.fd, table)
            fds.append(listed.fd)
            words = ["--list", listed.path(), *words]
        # Looking takes little, but at its time; what comes in blocks can wait.
        urgent = {"policy": "fifo", "priority": 1} if label == "queues" else {}
        launch = launch_options(None, {"cpus": self._free, **urgent})
        argv = [str(loadgen.path()), *launch, label, *words]
        process = self._stack.enter_context(NativeProcess(label, argv, self._stopper, tuple(fds)))
        process.expect("ready", _SLACK_S)
        self._helpers[label] = _Helper(process, files)
        if not self._free:
            self.hints.append(f"{_DID[label]} by a process on the run's own CPUs, since it has all that there are")

    def _devices(self, node: str) -> list[str]:
        """The options of the devices by which a node's packets leave; with a device on top of one, that."""
        own = self._testbed.nodes[node]
        numbers = [str(port.ip_device[0]) for port in own.ports if port.addressed]
        return ["--in", own.netns_path, "--devices", ",".join(numbers)]

    def _timed(self, report: Report) -> None:
        for key, why in (("missed", "the kernel could not hand over"), ("beyond", "there was no more room for")):
            if report[key]:
                self.doubts.append(f"timed on the wire without {report[key]:,} packets that {why}")

    def _taps(self, files: list[MemoryFile]) -> bytes:
        table = bytearray(_TAPS.pack(b"PBTAPS01", len(self._captured), 0))
        for ends, file in zip(self._captured, files, strict=True):
            pcap = self._testbed.layout.topology.links[ends[0].link].pcap
            assert pcap is not None
            table += _TAP.pack(pcap.keep_bytes, pcap.snap_bytes, file.fd)
            for port in ends:
                table += _TAP_END.pack(self._netns(port), f"{port.node}:{port.device}".encode(), port.ifindex, 0)
        return bytes(table)

    def _queues(self) -> bytes:
        # Mininet gives its disciplines numbers of its own.
        ours = self._testbed.layout.topology.engine == "netlink"
        handles = (handles_of(port.discs) if ours else (0, 0) for port in self._watched)
        places = ((self._netns(port), port.ifindex) for port in self._watched)
        queues = (_QUEUE.pack(*place, *pair, 0) for place, pair in zip(places, handles, strict=True))
        return _QUEUES.pack(b"PBQUEUE1", len(self._watched), 0) + b"".join(queues)

    def _netns(self, port: PortLayout) -> bytes:
        return self._testbed.nodes[port.node].netns_path.encode()

    def _read(self, report: Report, file: MemoryFile) -> list[QueueSeries]:
        points = np.frombuffer(_content(file), _POINT).reshape(len(self._watched), report["points"])
        return [
            series_of(f"{port.node} -> {port.peer_node}", report["width_ns"], own)
            for port, own in zip(self._watched, points, strict=True)
        ]

    def _captured_words(self, report: Report) -> str:
        links = ", ".join(f"{first.node} - {second.node}" for first, second in self._captured)
        missed = f" ({report['missed']:,} were missed)" if report["missed"] else ""
        return f"packets of {links} were copied as both ends saw them{missed}; the figures have what that took"


def handles_of(discs: tuple[Disc, ...]) -> tuple[int, int]:
    """(that in which packets wait for the rate, that at the end if it drops by itself), 0: the root; there is none."""
    pace = pace_of(discs)
    waits = pace.handle if pace is not None and pace is not discs[0] else 0
    return waits, discs[-1].handle if len(discs) > 1 and discs[-1].kind in _DROP_LATER else 0


def series_of(link: str, width_ns: int, points: np.ndarray) -> QueueSeries:
    """The series of a direction. points: as the helper writes them, each of width_ns; those without a look are gaps."""
    seen = points["samples"] > 0
    means = np.round(points["packets"] / np.maximum(points["samples"], 1), 2)
    return QueueSeries(
        link,
        width_ns / 1e9,
        [float(mean) if there else None for mean, there in zip(means, seen, strict=True)],
        [int(most) if there else None for most, there in zip(points["most_packets"], seen, strict=True)],
        [int(most) if there else None for most, there in zip(points["most_bytes"], seen, strict=True)],
        [int(drops) for drops in points["drops"]],
    )


def _name(first: PortLayout, second: PortLayout) -> str:
    """The file of a link: two nodes may have several."""
    return f"link{first.link}.{first.node}-{second.node}.pcapng"


def _content(file: MemoryFile) -> bytes:
    return os.pread(file.fd, os.fstat(file.fd).st_size, 0)
