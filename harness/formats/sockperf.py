"""sockperf clients' output: the summary on the terminal, and the file that --full-log writes."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from typing import Any

from harness.formats.latency import put_latencies
from harness.formats.model import NOT_USED, Basis, Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount, decimal, ratio

_AVERAGE = re.compile(rf"avg-(latency|rtt|lat)=\s*({NUMBER})(?:\s*\(std-dev=\s*({NUMBER}))?")
_SUMMARY = re.compile(rf"Summary: (Latency|Round trip) (?:of burst of (\d{{1,9}}) messages )?is ({NUMBER}) usec")
_VALID = re.compile(
    rf"\[Valid Duration\] RunTime=({NUMBER}) sec;.{{0,200}}? ?SentMessages=(\d{{1,18}}); ReceivedMessages=(\d{{1,18}})"
)
_TOTAL = re.compile(r"\[Total Run\].{0,200}? SentMessages=(\d{1,18});")
_OBSERVATIONS = re.compile(r"Total (\d{1,18}) observations")
_LOST = re.compile(r"# dropped messages = (\d{1,18}); # duplicated messages = (\d{1,18})")
_PERCENTILE = re.compile(rf"---> percentile\s+({NUMBER})\s*=\s*({NUMBER})")
_EXTREME = re.compile(rf"---> <(MAX|MIN)> observation\s*=\s*({NUMBER})")
# What a test was made with; never a line of advice, whose message size is another.
_PARAMETERS = re.compile(r"^\s*test was performed using the following parameters: .{0,200}?--msg-size=(\d{1,9})")
_MPS = re.compile(r"parameters: .{0,200}?--mps=(\d{1,12}) ")
_BURST = re.compile(r"parameters: .{0,200}?--burst=(\d{1,9}) ")
_REPLY = re.compile(r"parameters: .{0,200}?--reply-every=(\d{1,9}) ")
_TIME = re.compile(r"parameters: .{0,200}?--time=(\d{1,9})(?:\s|$)")
_PERFORMED = re.compile(r"NOTE: test was performed, using (?:average )?msg-size=(\d{1,9})(?:.{0,40}?, mps=(\d{1,12}))?")
_PROTOCOL = re.compile(r"PORT\s*=\s*\d+ +# (TCP|UDP)")
_VERSION = re.compile(r"== version #(\S{1,60})")
_SENT = re.compile(rf"Total of (\d{{1,18}}) messages sent in ({NUMBER}) sec")
_RATE = re.compile(rf"Message Rate is ({NUMBER}) \[msg/sec\]")
_BANDWIDTH = re.compile(rf"BandWidth is ({NUMBER}) ([MG])Bps")
# At the start of a message: a "std-error" is a figure.
_TROUBLE = re.compile(r"No messages were received|^\s*(?:sockperf\S{0,20}:\s*)?ERROR\b|errno=", re.IGNORECASE)
_HEADER = re.compile(r"packet, txTime\(sec\), rxTime\(sec\), (latency|rtt)\(usec\)")
_NAMES = {50.0: "p50", 90.0: "p90", 95.0: "p95", 99.0: "p99", 99.9: "p99_9", 99.99: "p99_99"}
# sockperf's "MBps" are 2^20 bytes: rate x message size says so. Its "GBps" are a thousand of these.
_BITS = {"M": 8 * 1024 * 1024, "G": 8 * 1024 * 1024 * 1000}


class SockperfClient(Format):
    """One client run per file."""

    name = "sockperf"
    title = "sockperf client output: summary, or the file of --full-log; half round trips are doubled"
    tried = "3.7 and 3.10"
    unknown = "the mode (ping-pong, under-load); what was due and never sent"
    accounts = True
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
            if header := line.search(_HEADER):
                summary.basis = "rtt" if header[1] == "rtt" else "half-rtt"
                _full_log(result, lines, summary.basis, note)
                break
            summary.add(result, line, note)
        _finish(result, summary)
        yield result


class _Summary:
    """What the summary lines say; latencies as printed. observations: of how many, where they say that."""

    def __init__(self) -> None:
        self.latencies: dict[str, float | None] = {}
        self.basis: Basis = "half-rtt"
        self.observations: float | None = None
        self.servers = 0
        self.troubles: list[str] = []

    def add(self, result: Result, line: Line, note: Note) -> None:
        """Take what one line of the summary says into `result` or this; what is odd is noted."""
        if "Printing statistics for Server No" in line.text:
            self.servers += 1
            line.use()
            if self.servers == 2:
                note(line.number, "statistics of a second server; only the first's are taken")
        if "[SERVER]" in line.text:
            note(line.number, "this is the server's output; latencies are in the client's")
        if self.servers < 2 and not (self._latency(result, line) or _workload(result, line)):
            self._counts(result, line)

    def _latency(self, result: Result, line: Line) -> bool:
        if match := line.search(_AVERAGE):
            self.basis = "rtt" if match[1] == "rtt" else "half-rtt"
            self.latencies |= {"mean": amount(match[2]), "sd": amount(match[3] or "")}
        elif "mean" not in self.latencies and (match := line.search(_SUMMARY)):
            self.basis = "rtt" if match[1] == "Round trip" else "half-rtt"
            self.latencies["mean"] = amount(match[3])
            result.workload |= {"burst": float(match[2])} if match[2] else {}
        elif (match := _PERCENTILE.search(line.text)) and (name := _NAMES.get(decimal(match[1]) or 0.0)):
            line.use()
            self.latencies[name] = amount(match[2])
        elif match := line.search(_EXTREME):
            self.latencies[match[1].lower()] = amount(match[2])
        elif match := line.search(_OBSERVATIONS):
            self.observations = float(match[1])
        return match is not None

    def _counts(self, result: Result, line: Line) -> None:
        if match := line.search(_TOTAL):
            result.settle_requests = int(match[1])
        elif match := line.search(_VALID):
            elapsed, sent, received = amount(match[1]), float(match[2]), float(match[3])
            result.metrics |= {"elapsed_s": elapsed, "sent": sent, "requests": received}
            result.metrics |= {"rate_rps": ratio(received, elapsed), "achieved_rps": ratio(sent, elapsed)}
        elif match := line.search(_LOST):
            result.metrics |= {"lost": float(match[1]), "duplicates": float(match[2])}
        elif match := line.search(_SENT):
            result.metrics |= {"sent": float(match[1]), "elapsed_s": amount(match[2])}
        elif match := line.search(_RATE):
            result.metrics["messages_pps"] = amount(match[1])
        elif match := line.search(_BANDWIDTH):
            # With more digits old versions print the same number of MBps and call them GBps.
            prefix = "M" if len(match[1].rpartition(".")[2]) == 9 else match[2]
            printed = amount(match[1])
            result.metrics["throughput_bps"] = None if printed is None else printed * _BITS[prefix]
        elif _TROUBLE.search(line.text):
            self.troubles.append(line.text.strip()[:200])


def _workload(result: Result, line: Line) -> bool:
    """What the test was made with."""
    workload = result.workload
    if match := line.search(_PROTOCOL):
        workload["protocol"] = match[1].lower()
        # A line for each socket: with a feed file there are several.
        workload["connections"] = float(workload.get("connections", 0.0)) + 1
    elif match := line.search(_VERSION):
        result.environment["program_version"] = f"sockperf {match[1]}"
    elif match := line.search(_PERFORMED):
        workload |= {"size_bytes": float(match[1]), "mode": "throughput", "direction": "client to server"}
        workload |= {"rate_rps": float(match[2])} if match[2] else {}
    elif match := line.search(_PARAMETERS):
        workload["size_bytes"] = float(match[1])
        for name, pattern in (("rate_rps", _MPS), ("burst", _BURST), ("reply_every", _REPLY), ("duration_s", _TIME)):
            if fact := line.search(pattern):
                workload[name] = float(fact[1])
    return match is not None


def _full_log(result: Result, lines: Iterator[Line], basis: Basis, note: Note) -> None:
    """Every request: sent when, and its round trip. Doubling leaves steps of 2 ns."""
    import numpy as np

    sent, trips = array("d"), array("d")
    bad = 0
    note(0, f"{NOT_USED}packet and rxTime of every row of the full log; its latency is there")
    for line in lines:
        line.use()
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
        put_latencies(result, summary.latencies, summary.basis, summary.observations or metrics.get("requests"))
    if summary.troubles:
        (result.doubt if result.has_figures() else result.fail)("; ".join(summary.troubles[:3]))
