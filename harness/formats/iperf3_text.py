"""iperf3's plain report, of client or server: throughput, losses, resent segments, both directions."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from harness.formats.iperf3 import NOTHING_CAME, told_whole
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount, plain

_ROW = re.compile(
    rf"^\[ *(\d{{1,6}}|SUM)\](?:\[([TR]X)-([CS])\])? +({NUMBER})- *({NUMBER}) +sec +"
    rf"({NUMBER} [KMGT]?Bytes) +({NUMBER}) ([KMGT]?)(bits|Bytes)/sec(.*?)(?: +(sender|receiver))?\s*$"
)
_LOSSES = re.compile(rf"({NUMBER}) ms +(\d{{1,15}})/(\d{{1,15}}) \(({NUMBER})(?:e[+-]\d+)?%\)")
_RESENT = re.compile(r"^ +(\d{1,12})(?![\d.])(?! *ms)")
_TEST = re.compile(
    rf"Starting Test: protocol: (\w+), (\d{{1,6}}) streams?, (\d{{1,12}}) byte blocks, omitting ({NUMBER}) seconds, "
    rf"(?:({NUMBER}) second test)?"
)
_CPU = re.compile(rf"CPU Utilization: local/(?:sender|receiver) ({NUMBER})%.*, remote/(?:sender|receiver) ({NUMBER})%")
_TIME = re.compile(r"^Time: (\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d) (?:GMT|UTC)")
_VERSION = re.compile(r"^(iperf 3\.\S{1,20})")
_SYSTEM = re.compile(r"^Linux \S+ (\S{1,60})")
_FAULT = re.compile(r"^iperf3: ((?:error|interrupt) - .{1,200})")
_BEGINS = re.compile(r"^(Connecting to host|Accepted connection from) ")
_PREFIXES = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_BINARY = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass
class _Row:
    """A row of the summary. way: client to server or back; rest: what stands behind its rate."""

    flow: str
    role: str
    side: str
    seconds: float
    bits: float
    moved: str
    rest: str
    text: str

    @property
    def back(self) -> bool:
        """Does this flow go from server to client, as its role says?"""
        return self.role in ("RX-C", "TX-S")


@dataclass
class _Test:
    """The lines of one test, as they come."""

    result: Result = field(default_factory=lambda: Result(workload={"kind": "iperf3"}))
    rows: list[_Row] = field(default_factory=list)
    server: bool = False
    reverse: bool = False
    fault: str = ""
    begun: bool = False


class Iperf3Text(Format):
    """One run per test; a server's output may hold several."""

    name = "iperf3-text"
    title = "iperf3's plain report, of client or server (-R, --bidir, -P, UDP, -V)"
    one_run = "a test"
    tried = "3.12"
    unknown = "any request's latency; the protocol of a TCP server's report; more than three digits"
    conversions = (
        "iperf3's plain rates have three digits: -J has all of them",
        "throughput is what the receiver got, or the sender's figure where the output has no other (see measured_by)",
    )
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its first words, or a row."""
        lines = head.text.split("\n")[:60]
        first = any(line.startswith(("iperf3: ", "iperf 3.")) for line in lines)
        return first or any(_ROW.search(line) for line in lines)

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per test."""
        test = _Test()
        for line in lines:
            begins = _BEGINS.search(line.text)
            if begins and test.begun and (test.rows or test.fault):
                yield _finished(test, note)
                test = _Test()
            if begins:
                test.begun, test.server = True, begins[1].startswith("Accepted")
            _take(test, line)
        yield _finished(test, note)


def _take(test: _Test, line: Line) -> None:
    workload, environment = test.result.workload, test.result.environment
    if (row := _ROW.search(line.text)) and row[11]:
        line.use()
        test.rows.append(_row(row, line.text))
    elif line.text.startswith("Reverse mode, "):
        test.reverse = True
        line.use()
    elif "Total Datagrams" in line.text:
        workload["protocol"] = "udp"
    elif line.text.startswith("[ ID]") and "Retr" in line.text:
        workload["protocol"] = "tcp"
    elif match := line.search(_TEST):
        facts = zip(("connections", "size_bytes", "warmup_s", "duration_s"), match.groups()[1:], strict=True)
        workload |= {"protocol": match[1].lower()}
        workload |= {name: value for name, text in facts if text and (value := amount(text)) is not None}
    elif match := line.search(_CPU):
        ends = ("server", "client") if test.server else ("client", "server")
        test.result.metrics |= {f"{end}_cpu_percent": amount(match[at]) for at, end in enumerate(ends, 1)}
    elif match := line.search(_TIME):
        with contextlib.suppress(ValueError):
            when = datetime.strptime(match[1], "%a, %d %b %Y %H:%M:%S").replace(tzinfo=UTC)
            test.result.started_utc = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    elif match := line.search(_VERSION):
        environment["program_version"] = plain(match[1], 40)
    elif match := line.search(_SYSTEM):
        environment["kernel"] = plain(match[1], 80)
    elif match := line.search(_FAULT):
        test.fault = plain(match[1])


def _row(match: re.Match[str], text: str) -> _Row:
    flow, way, end, start, stop, moved, rate, prefix, unit, rest, side = match.groups()
    size = _PREFIXES[prefix] if unit == "bits" else 8.0 * _BINARY[prefix]
    seconds = (amount(stop) or 0.0) - (amount(start) or 0.0)
    return _Row(flow, f"{way}-{end}" if way else "", side, seconds, (amount(rate) or 0.0) * size, moved, rest, text)


def _finished(test: _Test, note: Note) -> Result:
    result, rows = test.result, test.rows
    both = any(row.role for row in rows)
    ahead = _counted([row for row in rows if not row.back])
    back = _counted([row for row in rows if row.back])
    counted = ahead + back
    if ahead:
        received = ahead[0].side == "receiver"
        result.environment["measured_by"] = ahead[0].side
        result.metrics |= {"throughput_bps": sum(row.bits for row in ahead), "elapsed_s": ahead[0].seconds}
        _losses(result, ahead if received else [], [row for row in rows if not row.back], "")
        reverse = test.reverse or (test.server and not received)
        if test.begun:
            way = "both" if both else "server to client" if reverse else "client to server"
            result.workload["direction"] = way
        flows = {row.flow for row in rows if row.flow != "SUM" and not row.back}
        result.workload.setdefault("connections", float(len(flows)))
    if back:
        result.metrics["reverse_throughput_bps"] = sum(row.bits for row in back)
        _losses(result, [row for row in back if row.side == "receiver"], [row for row in rows if row.back], "reverse_")
        note(0, "both directions at once: throughput_bps is client to server, reverse_throughput_bps the other")
    sums = {row.role for row in rows if row.flow == "SUM"}
    senders = [row for row in rows if row.side == "sender" and (row.flow == "SUM") == (row.role in sums)]
    resent = [float(match[1]) for row in senders if (match := _RESENT.search(row.rest))]
    if resent:
        result.metrics["retransmits"] = sum(resent)
    for row in rows:
        text = f"{row.moved} of [{row.flow}]: its rate times its seconds" if row in counted else row.text.strip()
        result.left_out.append(plain(text, 150))
    if test.fault:
        (result.doubt if counted else result.fail)(f"iperf3: {test.fault}")
    elif test.begun and not counted:
        result.fail("iperf3: the output ends before the summary of the test")
    elif test.begun and not test.server and _silent(rows) and "sender" in {row.side for row in counted}:
        result.fail(NOTHING_CAME)
    return result


def _counted(rows: list[_Row]) -> list[_Row]:
    """What arrived, or was sent where nobody tells; the sum of all streams, or each of them."""
    received = [row for row in rows if row.side == "receiver" and row.bits] or rows
    one = [row for row in received if row.side == received[0].side]
    return [row for row in one if row.flow == "SUM"] or one


def _silent(rows: list[_Row]) -> bool:
    """Has a receiver's row that says that nothing came?"""
    return any(row.side == "receiver" and not row.bits for row in rows)


def _losses(result: Result, rows: list[_Row], both_ends: list[_Row], prefix: str) -> None:
    """Of datagrams that were to arrive in these rows. both_ends: of that direction, the sender's too."""
    losses = _matches(rows)
    if not losses:
        return
    lost, total = (sum(float(match[at]) for match in losses) for at in (2, 3))
    flows = {row.flow for row in rows}
    sent = _matches([row for row in both_ends if row.side == "sender" and row.flow in flows])
    if told_whole(result, sum(float(match[3]) for match in sent), total):
        result.metrics[f"{prefix}lost_percent"] = 100 * lost / total if total else None
        result.metrics |= {} if prefix else {"lost": lost}
    if not prefix:
        jitters = [amount(match[1]) or 0.0 for match in losses]
        result.metrics["udp_jitter_us"] = 1e3 * sum(jitters) / len(jitters)


def _matches(rows: list[_Row]) -> list[re.Match[str]]:
    return [match for row in rows if (match := _LOSSES.search(row.rest))]
