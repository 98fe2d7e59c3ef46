"""netperf's output: omni as CSV (-o), KEY=VALUE lines (-k) or columns (-O), and the tables of the classic tests."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.formats.latency import put_latencies
from harness.formats.model import NOT_USED, Format, Head, Note, ReadOptions, Result
from harness.formats.netperf_tables import Histogram, PlainTable, human_columns
from harness.formats.text import Line, amount, decimal, plain

# The selector of -k, and what the CSV header of -o calls it.
SELECTORS = {
    "THROUGHPUT": "Throughput",
    "THROUGHPUT_UNITS": "Throughput Units",
    "MIN_LATENCY": "Minimum Latency Microseconds",
    "MEAN_LATENCY": "Mean Latency Microseconds",
    "P50_LATENCY": "50th Percentile Latency Microseconds",
    "P90_LATENCY": "90th Percentile Latency Microseconds",
    "P99_LATENCY": "99th Percentile Latency Microseconds",
    "MAX_LATENCY": "Maximum Latency Microseconds",
    "STDDEV_LATENCY": "Stddev Latency Microseconds",
    "LOCAL_SEND_THROUGHPUT": "Local Send Throughput",
    "LOCAL_RECV_THROUGHPUT": "Local Recv Throughput",
    "REMOTE_RECV_THROUGHPUT": "Remote Recv Throughput",
    "LOCAL_SEND_CALLS": "Local Send Calls",
    "REMOTE_RECV_CALLS": "Remote Recv Calls",
    "RT_LATENCY": "Round Trip Latency usec/tran",
    "TRANSACTION_RATE": "Transaction Rate Tran/s",
    "ELAPSED_TIME": "Elapsed Time (sec)",
    "PROTOCOL": "Protocol",
    "DIRECTION": "Direction",
    "REQUEST_SIZE": "Request Size Bytes",
    "RESPONSE_SIZE": "Response Size Bytes",
    "LOCAL_SEND_SIZE": "Local Send Size",
    "BURST_SIZE": "Initial Burst Requests",
    "LOCAL_CPU_UTIL": "Local CPU Util %",
    "REMOTE_CPU_UTIL": "Remote CPU Util %",
    "LOCAL_TRANSPORT_RETRANS": "Local Transport Retransmissions",
    "REMOTE_TRANSPORT_RETRANS": "Remote Transport Retransmissions",
}
_BY_TITLE = {title.lower(): name for name, title in SELECTORS.items()}
_PAIR = re.compile(r"([A-Z][A-Z0-9_]{2,40})=(.{0,200})")
_BANNER = re.compile(r"(?:(TCP|UDP|SCTP|DCCP) (.{3,40}?)|OMNI (.{3,30}?)) TEST from")
_BURST = re.compile(r" : first burst (\d{1,9})")
_INTERIM = re.compile(r"\s*-?[\d.]+,\S{1,20}/s,[\d.]+,[\d.]+\s*|Interim result: .*|NETPERF_[A-Z_]+\[\d+\]=.*")
_BITS = {f"10^{power}bits/s": 10.0**power for power in (0, 3, 6, 9)}
_BITS |= {f"{prefix}Bytes/s": 8.0 * 1024**power for power, prefix in enumerate(("", "K", "M", "G"))}
LATENCIES = {
    "min": "MIN_LATENCY",
    "mean": "MEAN_LATENCY",
    "sd": "STDDEV_LATENCY",
    "p50": "P50_LATENCY",
    "p90": "P90_LATENCY",
    "p99": "P99_LATENCY",
    "max": "MAX_LATENCY",
}
_PLAIN = {
    "ELAPSED_TIME": "elapsed_s",
    "LOCAL_CPU_UTIL": "local_cpu_util_percent",
    "REMOTE_CPU_UTIL": "remote_cpu_util_percent",
    # Of the table of UDP_STREAM.
    "SENT": "sent",
    "LOST": "lost",
    "LOST_PERCENT": "lost_percent",
}
_RESENT = ("LOCAL_TRANSPORT_RETRANS", "REMOTE_TRANSPORT_RETRANS")
_TEXTS = ("THROUGHPUT_UNITS", "PROTOCOL", "DIRECTION")
# What the banner calls a test, or omni its direction: the test's own name without the protocol, and its direction.
_TESTS = {
    "REQUEST/RESPONSE": ("rr", ""),
    "Send|Recv": ("rr", ""),
    "Connect/Request/Response": ("crr", ""),
    "Connect|Send|Recv": ("crr", ""),
    "STREAM": ("stream", "client to server"),
    "SENDFILE": ("sendfile", "client to server"),
    "Send": ("stream", "client to server"),
    "MAERTS": ("maerts", "server to client"),
    "Receive": ("maerts", "server to client"),
}


@dataclass
class _Output:
    """One result as it stands in the output. values: by selector; banner: the line over it, "" where there is none."""

    values: dict[str, str] = field(default_factory=dict)
    banner: str = ""
    histogram: Histogram | None = None


class NetperfOmni(Format):
    """One run per result; a file may hold several."""

    name = "netperf"
    title = "netperf: plain tables, omni output (-o with its header, -k, -O), the histogram of -v 2"
    one_run = "a result; a file may hold several"
    tried = "2.7.0, 2.7.1"
    unknown = "the protocol and test where neither a banner nor PROTOCOL and DIRECTION are there"
    conversions = (
        "netperf latencies of request/response tests are whole round trips, as recorded",
        "a quantile from netperf's histogram is the upper end of its bucket: too high by up to a tenth of a decade",
    )
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its banner, its CSV titles, or its keys."""
        signs = ("MIGRATED ", "OMNI Send", "OMNI Rec", "Latency Microseconds", "Throughput Units")
        if _BANNER.search(head.text) and "AF_INET" in head.text:
            return True
        keys = (match[1] for match in _PAIR.finditer(head.text))
        return any(sign in head.text for sign in signs) or sum(key in SELECTORS for key in keys) >= 2

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """A result per line of values under a header, per table, and per set of keys."""
        for output in _results(lines, note):
            yield _result(output, options, note)


def _results(lines: Iterator[Line], note: Note) -> Iterator[_Output]:
    """Every result as selector -> text, with the banner over it and the histogram below it."""
    reader = _Reader(note)
    for line in lines:
        yield from reader.take(line)
    yield from reader.end()
    if reader.interim:
        note(reader.first_interim, f"{reader.interim} interim results (-D) are not the run's: its closing table is")


class _Reader:
    """Reads line by line; holds back a result until the next begins, for its histogram comes after it."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._header: list[str] = []
        self._table = PlainTable()
        self._now = _Output()
        self.interim = self.first_interim = 0

    def end(self) -> Iterator[_Output]:
        """The result held back, if any."""
        self._now.values |= self._table.end()
        if self._now.values or self._now.histogram:
            yield self._now
        self._now = _Output(banner=self._now.banner)

    def take(self, line: Line) -> Iterator[_Output]:
        """What ends with this line."""
        text = line.text.strip()
        if "TEST from" in text:
            yield from self.end()
            self._now, self._header, self._table = _Output(banner=text), [], PlainTable()
            line.search(_BURST)
        elif _INTERIM.fullmatch(text):
            line.use()
            self.interim += 1
            self.first_interim = self.first_interim or line.number
        elif match := _PAIR.fullmatch(text):
            if match[1] in self._now.values:
                yield from self.end()
            self._now.values[match[1]] = match[2].strip('" ')
            line.use() if match[1] in SELECTORS else None
        elif text.startswith("Histogram of"):
            self._now.histogram = Histogram()
        elif self._now.histogram and self._now.histogram.take(line):
            pass
        else:
            yield from self._tabular(line, text)

    def _tabular(self, line: Line, text: str) -> Iterator[_Output]:
        if titles := _titles(text):
            self._header = titles
            line.use()
            if unused := [cell for cell, name in zip(_cells(text), titles, strict=True) if not name]:
                self._note(line.number, f"{NOT_USED}columns {', '.join(map(plain, unused))}")
        elif self._header and text:
            line.use()
            if (row := _row(line, text, self._header, self._note)) is not None:
                yield from self.end()
                self._now.values = row
        elif self._now.banner and self._table.take(line):
            pass
        elif self._now.banner and (columns := human_columns(self._table.titles, line, _BY_TITLE)):
            self._now.values |= columns
        elif "," in text and not self._header:
            self._note(line.number, "a row without a header: run netperf without -P 0, or with -k")


def _titles(text: str) -> list[str]:
    """The selectors of a CSV header line; empty when it is none."""
    if "," not in text and text.lower() not in _BY_TITLE:
        return []
    cells = [" ".join(cell.split()) for cell in _cells(text)]
    names = [_BY_TITLE.get(cell.lower(), "") or (cell if cell in SELECTORS else "") for cell in cells]
    return names if any(names) else []


def _row(line: Line, text: str, header: list[str], note: Note) -> dict[str, str] | None:
    cells = _cells(text)
    if len(cells) != len(header):
        note(line.number, f"{len(cells)} values under a header of {len(header)}; the row is left out")
        return None
    return {name: cell.strip() for name, cell in zip(header, cells, strict=True) if name}


def _cells(text: str) -> list[str]:
    try:
        return next(csv.reader([text]), [])
    except csv.Error:
        return []


def _result(output: _Output, options: ReadOptions, note: Note) -> Result:
    result = Result(workload={"kind": "netperf"})
    values = output.values
    numbers = _numbers(values, note)
    units = values.get("THROUGHPUT_UNITS", "")
    test = _describe(result, values, numbers, output.banner)
    result.metrics |= {ours: numbers[name] for name, ours in _PLAIN.items() if name in numbers}
    if resent := [numbers[name] for name in _RESENT if name in numbers]:
        result.metrics["retransmits"] = sum(resent)
    has_requests = test in ("rr", "crr") or units == "Trans/s"
    throughput, measured_by = _throughput(numbers, test)
    if has_requests:
        counted = throughput if units in ("", "Trans/s") else None
        result.metrics["rate_rps"] = numbers.get("TRANSACTION_RATE") if counted is None else counted
    else:
        _losses(result, numbers)
    if throughput is not None and not (has_requests and units in ("", "Trans/s")):
        if units in _BITS:
            result.metrics["throughput_bps"] = throughput * _BITS[units]
            result.environment |= {} if has_requests else {"measured_by": measured_by}
        else:
            note(0, f"throughput {throughput:g} has the unit {plain(units, 40)!r}, which is not known; left out")
    _latencies(result, numbers, output, options, has_requests, note)
    return result


def _throughput(numbers: dict[str, float], test: str) -> tuple[float | None, str]:
    """What arrived, or the sender's figure where the output has no other; and whose it is."""
    names = ["THROUGHPUT", "LOCAL_RECV_THROUGHPUT" if test == "maerts" else "REMOTE_RECV_THROUGHPUT"]
    for name in names:
        if name in numbers:
            return numbers[name], "receiver"
    return (None, "") if test == "maerts" else (numbers.get("LOCAL_SEND_THROUGHPUT"), "sender")


def _losses(result: Result, numbers: dict[str, float]) -> None:
    """Datagrams that were sent and not received, by the calls of both ends; calls of TCP are no messages."""
    sent, received = numbers.get("LOCAL_SEND_CALLS"), numbers.get("REMOTE_RECV_CALLS")
    if sent and received is not None and result.workload.get("mode") == "udp_stream":
        lost = max(0.0, sent - received)
        result.metrics |= {"sent": sent, "lost": lost, "lost_percent": 100 * lost / sent}


def _numbers(values: dict[str, str], note: Note) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, text in values.items():
        if (name not in SELECTORS and name not in _PLAIN) or name in _TEXTS:
            continue
        if (number := amount(text)) is not None:
            numbers[name] = number
        elif (decimal(text) or 0) >= 0:
            # netperf writes -1 for what it did not measure.
            note(0, f"{name} is {plain(text, 40)!r}, which is no number")
        else:
            note(0, f"{NOT_USED}{name} {plain(text, 40)}: not measured")
    return numbers


def _describe(result: Result, values: dict[str, str], numbers: dict[str, float], banner: str) -> str:
    """Fills in what the test was; its name without the protocol, "" where that is not known."""
    workload = result.workload
    match = _BANNER.search(banner)
    protocol, kind = (match[1] or "", match[2] or match[3]) if match else ("", "")
    protocol = plain((values.get("PROTOCOL") or protocol).lower(), 20)
    test, way = _TESTS.get(values.get("DIRECTION", ""), _TESTS.get(kind, ("", "")))
    if protocol:
        workload["protocol"] = protocol
    if protocol and test:
        workload["mode"] = f"{protocol}_{test}"
    if test:
        workload |= {"connect_per_request": "on"} if test == "crr" else {}
        workload |= {"direction": way} if way else {}
    size = numbers.get("REQUEST_SIZE") if test in ("rr", "crr", "") else numbers.get("LOCAL_SEND_SIZE")
    if size is not None:
        workload["size_bytes"] = size
    if (response := numbers.get("RESPONSE_SIZE")) is not None and response != size and test in ("rr", "crr"):
        workload["response_sizes"] = f"{response:g}"
    burst = _BURST.search(banner)
    outstanding = float(burst[1]) if burst else numbers.get("BURST_SIZE")
    if outstanding is not None and test in ("rr", "crr"):
        # So many requests beside the one that is always on its way.
        workload |= {"burst": outstanding, "depth": outstanding + 1}
    return test


def _latencies(
    result: Result, numbers: dict[str, float], output: _Output, options: ReadOptions, has_requests: bool, note: Note
) -> None:
    values = {ours: numbers[name] for ours, name in LATENCIES.items() if name in numbers}
    if "RT_LATENCY" in numbers and has_requests:
        values.setdefault("mean", numbers["RT_LATENCY"])
    if output.histogram:
        values = output.histogram.quantiles() | values
    if not values:
        return
    if not has_requests and not options.basis:
        note(0, "latencies of a stream test are of its send calls, not round trips; left out (--basis rtt takes them)")
        return
    rate, elapsed = result.metrics.get("rate_rps"), result.metrics.get("elapsed_s")
    requests = None if rate is None or elapsed is None else rate * elapsed
    if requests is None and output.histogram:
        requests = output.histogram.total
    put_latencies(result, values, options.basis or "rtt", requests)
