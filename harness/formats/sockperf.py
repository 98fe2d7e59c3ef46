"""sockperf clients' output: the summary on the terminal, and the file that --full-log writes."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from typing import Any

from harness.formats.latency import put_latencies
from harness.formats.model import Basis, Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount, decimal, ratio

_NUMBER = r"([-\d.,]{1,40})"
_AVERAGE = re.compile(rf"avg-(latency|rtt|lat)=\s*{_NUMBER}(?:\s*\(std-dev=\s*{_NUMBER})?")
_VALID = re.compile(
    rf"\[Valid Duration\] RunTime={_NUMBER} sec;.*SentMessages=(\d{{1,18}}); ReceivedMessages=(\d{{1,18}})"
)
_TOTAL = re.compile(r"\[Total Run\].{0,200}? SentMessages=(\d{1,18});")
_LOST = re.compile(r"# dropped messages = (\d{1,18}); # duplicated messages = (\d{1,18})")
_PERCENTILE = re.compile(rf"---> percentile\s+{_NUMBER}\s*=\s*{_NUMBER}")
_EXTREME = re.compile(rf"---> <(MAX|MIN)> observation\s*=\s*{_NUMBER}")
_PARAMETERS = re.compile(r"--msg-size=(\d{1,9})")
_PROTOCOL = re.compile(r"PORT = \d+ +# (TCP|UDP)")
_RATE = re.compile(rf"Message Rate is {_NUMBER} \[msg/sec\]")
_BANDWIDTH = re.compile(rf"BandWidth is {_NUMBER} MBps")
_TROUBLE = re.compile(r"No messages were received|\bERROR\b|errno=", re.IGNORECASE)
_HEADER = re.compile(r"packet, txTime\(sec\), rxTime\(sec\), (latency|rtt)\(usec\)")
_NAMES = {50.0: "p50", 90.0: "p90", 95.0: "p95", 99.0: "p99", 99.9: "p99_9", 99.99: "p99_99"}
# sockperf's "MBps" are 2^20 bytes: rate x message size says so.
_MIB_BITS = 8 * 1024 * 1024


class SockperfClient(Format):
    """One client run per file."""

    name = "sockperf"
    title = "sockperf client output: summary, or the file of --full-log; half round trips are doubled"
    conversions = (
        "sockperf latency is half a round trip and was doubled, unless it ran with --full-rtt",
        "sockperf percentiles with fewer than 10 observations beyond them are left blank",
    )

    def sniff(self, head: Head) -> bool:
        """By the program's name on its lines."""
        return "sockperf: " in head.text or bool(_HEADER.search(head.text))

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result, with every request where the full log has them."""
        result = Result(workload={"kind": "sockperf"})
        summary = _Summary()
        for line in lines:
            if header := _HEADER.search(line.text):
                summary.basis = "rtt" if header[1] == "rtt" else "half-rtt"
                _full_log(result, lines, summary.basis, note)
                break
            summary.add(result, line, note)
        _finish(result, summary)
        yield result


class _Summary:
    """What the summary lines say; latencies as printed."""

    def __init__(self) -> None:
        self.latencies: dict[str, float | None] = {}
        self.basis: Basis = "half-rtt"
        self.servers = 0
        self.troubles: list[str] = []

    def add(self, result: Result, line: Line, note: Note) -> None:
        """Take what one line of the summary says into `result` or this; what is odd is noted."""
        if "Printing statistics for Server No" in line.text:
            self.servers += 1
            if self.servers == 2:
                note(line.number, "statistics of a second server; only the first's are taken")
        if self.servers < 2:
            if not self._latency(line.text):
                self._counts(result, line.text)
            if match := _PROTOCOL.search(line.text):
                result.workload["protocol"] = match[1].lower()
            if match := _PARAMETERS.search(line.text):
                result.workload["size_bytes"] = float(match[1])

    def _latency(self, text: str) -> bool:
        if match := _AVERAGE.search(text):
            self.basis = "rtt" if match[1] == "rtt" else "half-rtt"
            self.latencies |= {"mean": amount(match[2]), "sd": amount(match[3] or "")}
        elif match := _PERCENTILE.search(text):
            if name := _NAMES.get(decimal(match[1]) or 0.0):
                self.latencies[name] = amount(match[2])
        elif match := _EXTREME.search(text):
            self.latencies[match[1].lower()] = amount(match[2])
        return match is not None

    def _counts(self, result: Result, text: str) -> None:
        if match := _TOTAL.search(text):
            result.settle_requests = int(match[1])
        elif match := _VALID.search(text):
            elapsed, sent, received = amount(match[1]), float(match[2]), float(match[3])
            result.metrics |= {"elapsed_s": elapsed, "sent": sent, "requests": received}
            result.metrics |= {"rate_rps": ratio(received, elapsed), "achieved_rps": ratio(sent, elapsed)}
        elif match := _LOST.search(text):
            result.metrics |= {"lost": float(match[1]), "duplicates": float(match[2])}
        elif match := _RATE.search(text):
            result.metrics["messages_pps"] = amount(match[1])
        elif match := _BANDWIDTH.search(text):
            mebibytes = amount(match[1])
            result.metrics["throughput_bps"] = None if mebibytes is None else mebibytes * _MIB_BITS
        elif _TROUBLE.search(text):
            self.troubles.append(text.strip()[:200])


def _full_log(result: Result, lines: Iterator[Line], basis: Basis, note: Note) -> None:
    """Every request: sent when, and its round trip. Doubling leaves steps of 2 ns."""
    import numpy as np

    sent, trips = array("d"), array("d")
    bad = 0
    for line in lines:
        fields = line.text.split(", ")
        if line.text.startswith("-----") or not line.text.strip():
            continue
        send, trip = (_seconds(fields[1]), _seconds(fields[3])) if len(fields) == 4 else (None, None)
        if send is None or trip is None or not 0 <= trip < 1e12 or not abs(send) < 1e12:
            bad += 1
            if bad == 1:
                note(line.number, "the row is not packet, txTime, rxTime, latency; such rows are left out")
            continue
        sent.append(send)
        trips.append(trip)
    if bad > 1:
        note(0, f"{bad} rows of the full log are left out")
    if not trips:
        note(0, "the full log holds no rows")
        return
    times = np.frombuffer(sent)
    result.samples = np.empty(len(trips), dtype=[("intended_ns", "<i8"), ("latency_ns", "<i8")])
    result.samples["intended_ns"] = _whole_ns(times - times.min(), 1e9)
    result.samples["latency_ns"] = _whole_ns(np.frombuffer(trips), 1e3 if basis == "rtt" else 2e3)
    result.environment["latency_basis"] = "rtt" if basis == "rtt" else "half round trip, doubled"


def _whole_ns(times: Any, scale: float) -> Any:
    import numpy as np

    return np.clip(np.rint(times * scale), 0, 2**62)


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return decimal(text)


def _finish(result: Result, summary: _Summary) -> None:
    """What needs the whole output: counts by the log where there is one, else the summary's latencies."""
    metrics, sent = result.metrics, result.metrics.get("sent")
    if result.settle_requests is not None:
        result.settle_requests = None if sent is None else max(0, result.settle_requests - int(sent))
    if result.samples is not None:
        metrics["requests"] = float(len(result.samples))
        metrics["rate_rps"] = ratio(metrics["requests"], metrics.get("elapsed_s"))
    elif summary.latencies:
        put_latencies(result, summary.latencies, summary.basis, metrics.get("requests"))
    if summary.troubles:
        (result.doubt if result.has_figures() else result.fail)("; ".join(summary.troubles[:3]))
