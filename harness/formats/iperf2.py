"""iperf's (version 2) reports, plain and enhanced (-e), and its CSV (-y C): throughput, losses, retries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.formats.latency import put_latencies
from harness.formats.model import NOT_USED, Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount

_ROW = re.compile(
    rf"^\[([^\]]{{1,16}})\]\s*({NUMBER})-\s*({NUMBER}) sec\s+"
    rf"({NUMBER}) ([KMGT]?)Bytes\s+({NUMBER}) ([KMGT]?)(bits|Bytes)/sec"
)
_LOSSES = re.compile(rf"/sec\s+({NUMBER}) ms\s+(\d{{1,15}})/\s*(\d{{1,15}}) \(({NUMBER})(?:e[+-]\d+)?%\)")
_RETRIES = re.compile(r"/sec\s+\d+/\d+\s+(\d{1,15})\s+-?\d+[KM]?(?:[(/]|\s)")
_BOUNCED = re.compile(rf"/sec\s+(\d{{1,15}})=({NUMBER})/({NUMBER})/({NUMBER})/({NUMBER}) ms\b")
_ROLE = re.compile(r"^(Client connecting to|Server listening on) .{0,120}?(TCP|UDP) port")
_SIZE = re.compile(r"(?:Sending (\d{1,15}) byte datagrams|(?:Write|Read) buffer size: +(\d{1,15}) Byte)")
_SENT = re.compile(r"Sent (\d{1,15}) datagrams")
_PREFIXES = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_BINARY = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_CSV = re.compile(r"[+\d:.-]{14,40},[^,]{1,64},\d+,[^,]{1,64},\d+,-?\d+,")
_CSV_ROW = re.compile(rf"^(?:[^,]*,){{5}}(-?\d+),({NUMBER})-({NUMBER}),\d+,(\d{{1,18}})(?=,|\s*$)")
_CSV_LOSSES = re.compile(rf"^(?:[^,]*,){{9}}({NUMBER}),(\d{{1,18}}),(\d{{1,18}}),({NUMBER}),")


@dataclass
class _Row:
    """One line of a report. bits: per second."""

    flow: str
    start: float
    end: float
    bits: float
    of_receiver: bool
    losses: tuple[float, float, float] | None = None
    jitter_ms: float | None = None
    retries: float | None = None
    bounced: tuple[float | None, ...] = ()


@dataclass
class _Report:
    """All that an output says."""

    rows: list[_Row] = field(default_factory=list)
    server: bool = False
    server_report: bool = False
    connected: int = 0


class Iperf2Text(Format):
    """One run per file."""

    name = "iperf2"
    title = "iperf (version 2) reports, plain or enhanced (-e), and CSV (-y C)"
    tried = "2.1.8 and 2.2.1"
    unknown = "latencies but for those of --bounceback: -e has the difference of two clocks, unless these run alike"
    conversions = (
        "iperf's bits are powers of ten; the row of the whole run counts, or the sum of all streams",
        "the latencies of --bounceback are whole round trips; its RPS is one over their mean, no rate",
        "a server's report is the receiver's figure and comes before the client's own (measured_by says which)",
    )
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its rows, its first lines, or its CSV."""
        lines = head.text.split("\n")[:40]
        return bool(_CSV.match(lines[0])) or any(_ROLE.search(line) or _ROW.search(line) for line in lines)

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result."""
        result = Result(workload={"kind": "iperf2"})
        report = _Report()
        for line in lines:
            if _CSV.match(line.text):
                _csv(report, line, note)
            else:
                _text(result, report, line)
        _finish(result, report, note)
        yield result


def _text(result: Result, report: _Report, line: Line) -> None:
    if match := line.search(_ROLE):
        report.server = match[1].startswith("Server")
        result.workload["protocol"] = match[2].lower()
    elif "Server Report" in line.text:
        report.server_report = True
    elif " connected with " in line.text:
        report.connected += 1
    elif match := line.search(_SIZE):
        result.workload["size_bytes"] = float(match[1] or match[2])
    elif match := line.search(_SENT):
        result.metrics["sent"] = float(match[1])
    elif match := _ROW.search(line.text):
        line.search(_ROW)
        flow, start, end = match[1].strip(), amount(match[2]) or 0.0, amount(match[3]) or 0.0
        unit = _PREFIXES[match[7]] if match[8] == "bits" else 8.0 * _BINARY[match[7]]
        bits = (amount(match[6]) or 0.0) * unit
        row = _Row(flow, start, end, bits, report.server or report.server_report)
        if bounced := line.search(_BOUNCED):
            row.bounced = tuple(amount(part) for part in bounced.groups())
        elif losses := line.search(_LOSSES):
            row.jitter_ms = amount(losses[1])
            row.losses = float(losses[2]), float(losses[3]), amount(losses[4]) or 0.0
            row.of_receiver = True
        elif retries := line.search(_RETRIES):
            row.retries = float(retries[1])
        report.rows.append(row)


def _csv(report: _Report, line: Line, note: Note) -> None:
    match = line.search(_CSV_ROW)
    if match is None:
        note(line.number, "the row is not time,addresses,id,interval,bytes,bits; it is left out")
        return
    flow, start, end, bits = match[1], amount(match[2]) or 0.0, amount(match[3]) or 0.0, float(match[4])
    # A client's own row of UDP has the same cells, and -1 datagrams: it did not receive any.
    received = line.search(_CSV_LOSSES)
    row = _Row("SUM" if flow == "-1" else flow, start, end, bits, received is not None)
    if received:
        row.jitter_ms = amount(received[1])
        row.losses = float(received[2]), float(received[3]), amount(received[4]) or 0.0
    report.rows.append(row)


def _finish(result: Result, report: _Report, note: Note) -> None:
    """The rows of the whole run: of the receiver where there are any."""
    rows = [row for row in report.rows if row.of_receiver] or report.rows
    if not rows:
        return
    longest = max(row.end - row.start for row in rows)
    whole = [row for row in rows if row.end - row.start >= longest - 0.1 * abs(longest)]
    sums = [row for row in whole if row.flow.upper().startswith("SUM")]
    flows = {row.flow: row for row in whole if not row.flow.upper().startswith("SUM")}
    if not sums and len(rows) > len(flows):
        note(0, f"{NOT_USED}{len(rows) - len(flows)} rows of intervals; those of the whole run have the sums")
    counted = sums[-1:] or list(flows.values())
    if sums and flows:
        note(0, f"{NOT_USED}the rates of single streams; the row of all has their sum")
    if any(row.flow.upper().startswith("FD") or "*" in row.flow for row in whole):
        note(0, "both directions at once: the rows of both are added up")
        result.workload["direction"] = "both"
    result.workload["connections"] = float(max(len(flows), report.connected, 1))
    result.metrics |= {"throughput_bps": sum(row.bits for row in counted), "elapsed_s": longest}
    result.environment["measured_by"] = "receiver" if counted[0].of_receiver else "sender"
    if bounced := counted[-1].bounced:
        # A row of several clients together has no such figures.
        requests, *times = bounced
        values = {name: time and 1e3 * time for name, time in zip(("mean", "min", "max", "sd"), times, strict=True)}
        result.metrics["requests"] = requests
        result.workload["mode"] = "bounceback"
        put_latencies(result, values, "rtt", requests)
    if losses := [row.losses for row in counted if row.losses]:
        lost, total = sum(loss[0] for loss in losses), sum(loss[1] for loss in losses)
        result.metrics |= {"lost": lost, "lost_percent": 100 * lost / total if total else None}
    if jitters := [row.jitter_ms for row in counted if row.jitter_ms is not None]:
        result.metrics["udp_jitter_us"] = 1e3 * sum(jitters) / len(jitters)
    if retries := [row.retries for row in counted if row.retries is not None]:
        result.metrics["retransmits"] = sum(retries)
