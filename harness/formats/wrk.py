"""wrk's and wrk2's report: rate, errors, and latencies counted from when a request was sent (wrk) or due (wrk2)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.hdrtable import TABLE, read_table
from harness.formats.latency import LEVELS, MAX_ERROR_SHARE, MIN_EXCEEDANCES, level_named, put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount, plain, ratio

_US = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}
_BINARY = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}
_TIME = rf"({NUMBER})(us|ms|s|m|h)\b"
_RUNNING = re.compile(rf"Running {_TIME} test @ \S")
_CLIENTS = re.compile(r"^\s*(\d{1,9}) threads and (\d{1,9}) connections")
_LATENCY = re.compile(rf"^\s*Latency\s+{_TIME}\s+{_TIME}\s+{_TIME}")
_LEVEL = re.compile(rf"^\s*({NUMBER})%\s+{_TIME}\s*$")
_TOTAL = re.compile(rf"^\s*(\d{{1,18}}) requests in {_TIME}, {NUMBER}[KMGTP]?B read")
_SOCKET = re.compile(r"Socket errors: connect (\d{1,18}), read (\d{1,18}), write (\d{1,18}), timeout (\d{1,18})")
_STATUS = re.compile(r"Non-2xx or 3xx responses: (\d{1,18})")
_RATE = re.compile(rf"Requests/sec:\s+({NUMBER})")
_TRANSFER = re.compile(rf"Transfer/sec:\s+({NUMBER})([KMGTP]?)B")
DISTRIBUTION = re.compile(r"Latency Distribution(?: \(HdrHistogram - (Recorded|Uncorrected) Latency)?")

REPORT = re.compile(rf"{_RUNNING.pattern}|{DISTRIBUTION.pattern}")
"""How a report of wrk or wrk2 begins, or what is left of one."""


class WrkReport(Format):
    """One run per report; a file may hold several."""

    name = "wrk"
    title = "wrk and wrk2 reports, with or without --latency and -U"
    one_run = "a report"
    tried = "wrk 4.1.0, wrk2 (giltene, git 44a94c1)"
    unknown = "the rate that was asked of wrk2 (-R), sizes; without --latency and within 10 s, which of both it was"
    conversions = (
        "wrk2's recorded latencies count from when a request was due: rtt_*; its uncorrected ones (-U) count from when "
        "it was sent: service_*",
        "wrk's own latencies count from when a request was sent, and know nothing of what a stall held back",
        "wrk prints quantiles without digits beyond two: 1.00s may be up to 5 ms more or less",
    )
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its first line or its closing ones."""
        text = head.text
        return bool(_RUNNING.search(text) or _RATE.search(text) or "(HdrHistogram - " in text)

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per report."""
        report = _Report(note)
        for line in lines:
            if _RUNNING.search(line.text) and report.begun:
                yield report.result()
                report = _Report(note)
            report.take(line, lines)
        yield report.result()


class _Report:
    """The lines of one report, as they come."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._result = Result(workload={"kind": "wrk", "protocol": "tcp"})
        self._values: dict[str, float | None] = {}
        self._rounded: dict[str, str] = {}
        self._observed: float | None = None
        self._sent: dict[str, float | None] = {}
        self._sent_total: float | None = None
        self._table = ""
        # Which of both programs it was, as far as that shows.
        self._program = ""
        self._errors: list[float] = []
        self.begun = False

    def take(self, line: Line, lines: Iterator[Line]) -> None:
        """One line, and the table that it heads."""
        if TABLE.search(line.text):
            line.use()
            self._read_table(lines)
        elif match := DISTRIBUTION.search(line.text):
            self._table = match[1] or "plain"
            self._program = "wrk" if self._table == "plain" else "wrk2"
            line.use()
        elif self._table == "Uncorrected" and _LEVEL.search(line.text):
            line.use()
            self._service(line)
        elif match := _LEVEL.search(line.text):
            if name := level_named(amount(match[1])):
                line.use()
                self._put(name, match[2], match[3])
        else:
            self._summary(line)

    def _summary(self, line: Line) -> None:
        result = self._result
        if "Thread calibration:" in line.text:
            self._program = "wrk2"
        elif match := line.search(_RUNNING):
            self.begun = True
            result.workload["duration_s"] = (_us(match[1], match[2]) or 0.0) / 1e6
        elif match := line.search(_CLIENTS):
            result.workload |= {"threads": float(match[1]), "connections": float(match[2])}
        elif match := line.search(_LATENCY):
            for at, name in enumerate(("mean", "sd", "max")):
                self._put(name, match[2 * at + 1], match[2 * at + 2])
        elif match := line.search(_TOTAL):
            result.metrics |= {"requests": float(match[1]), "elapsed_s": (_us(match[2], match[3]) or 0.0) / 1e6}
        elif match := line.search(_SOCKET):
            self._errors = [float(number) for number in match.groups()]
        elif match := line.search(_STATUS):
            result.metrics["errors"] = float(match[1])
        elif match := line.search(_RATE):
            result.metrics["rate_rps"] = amount(match[1])
        elif match := line.search(_TRANSFER):
            read = amount(match[1])
            result.metrics["throughput_bps"] = None if read is None else 8 * read * _BINARY[match[2]]

    def _put(self, name: str, text: str, unit: str) -> None:
        self._values[name], self._rounded[name] = _us(text, unit), text + unit

    def _read_table(self, lines: Iterator[Line]) -> None:
        """The detailed spectrum, in ms: of the recorded latencies, or of the uncorrected ones."""
        table = read_table(lines, self._note)
        values = {name: value * 1e3 for name, value in table.values.items() if value is not None}
        if self._table == "Uncorrected":
            self._sent |= values
            self._sent_total = table.total
        else:
            self._observed = table.total
            self._values |= values
            rounded = ", ".join(f"{name} {text}" for name, text in self._rounded.items() if name in values)
            if rounded:
                self._result.left_out.append(f"{rounded}: the detailed table has them with more digits")

    def _service(self, line: Line) -> None:
        if (match := _LEVEL.search(line.text)) and (name := level_named(amount(match[1]))):
            self._sent[name] = _us(match[2], match[3])

    def _put_service(self) -> None:
        """What counts from the actual sending, where enough requests lie beyond a quantile."""
        total = self._sent_total or self._result.metrics.get("requests")
        for name in ("p50", "p99", "p99_9"):
            value = self._sent.get(name)
            if value is None:
                continue
            if total is not None and round(total * (1 - LEVELS[name]), 6) < MIN_EXCEEDANCES:
                why = f"fewer than {MIN_EXCEEDANCES} of {total:,.0f} requests lie beyond it"
                self._result.left_out.append(f"service_{name}_us {value:g}: {why}")
            else:
                self._result.metrics[f"service_{name}_us"] = value

    def result(self) -> Result:
        """All of it, once its lines are read."""
        result, metrics = self._result, self._result.metrics
        requests = metrics.get("requests")
        if self._program:
            result.workload["loop"] = "open" if self._program == "wrk2" else "closed"
        # Of connections that are refused wrk prints latencies, and no request.
        if self._values and requests != 0:
            put_latencies(result, self._values, "rtt", self._observed or requests)
            if self._program:
                result.environment["latency_from"] = "due" if self._program == "wrk2" else "sent"
        self._put_service()
        if self._errors:
            metrics["socket_errors"] = sum(self._errors)
        bad = (metrics.get("errors") or 0.0) + sum(self._errors)
        share = ratio(bad, requests)
        if bad and (share is None or share > MAX_ERROR_SHARE):
            names = ("connect", "read", "write", "timeout")
            parts = [f"{number:,.0f} {name}" for name, number in zip(names, self._errors, strict=False) if number]
            status = metrics.get("errors")
            parts = [f"{status:,.0f} answers that are not 2xx or 3xx", *parts] if status else parts
            of_all = f"of {requests:,.0f} requests: " if requests else ""
            none = requests is not None and (status or 0.0) >= requests
            why = "none had a good answer" if none else "latencies are also those of errors"
            (result.fail if none else result.doubt)(plain(f"wrk: {of_all}{', '.join(parts)} errors; {why}", 400))
        elif requests == 0:
            result.fail("wrk: no request was answered")
        return result


def _us(text: str, unit: str) -> float | None:
    value = amount(text)
    return None if value is None else value * _US[unit]
