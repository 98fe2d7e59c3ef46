"""netperf's omni output: CSV (-o) with its header, or KEY=VALUE lines (-k)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from harness.formats.latency import put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
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
    "TRANSACTION_RATE": "Transaction Rate Tran/s",
    "ELAPSED_TIME": "Elapsed Time (sec)",
    "PROTOCOL": "Protocol",
    "REQUEST_SIZE": "Request Size Bytes",
    "LOCAL_CPU_UTIL": "Local CPU Util %",
    "REMOTE_CPU_UTIL": "Remote CPU Util %",
    "LOCAL_TRANSPORT_RETRANS": "Local Transport Retransmissions",
    "REMOTE_TRANSPORT_RETRANS": "Remote Transport Retransmissions",
}
_BY_TITLE = {title.lower(): name for name, title in SELECTORS.items()}
_PAIR = re.compile(r"([A-Z][A-Z0-9_]{2,40})=(.{0,200})")
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
}
_RESENT = ("LOCAL_TRANSPORT_RETRANS", "REMOTE_TRANSPORT_RETRANS")
_TEXTS = ("THROUGHPUT_UNITS", "PROTOCOL")


class NetperfOmni(Format):
    """One run per result; a file may hold several."""

    name = "netperf"
    title = "netperf omni output: CSV with its header (-o, without -P 0), or KEY=VALUE lines (-k)"
    one_run = "a result; a file may hold several"
    conversions = ("netperf latencies of request/response tests are whole round trips, as recorded",)

    def sniff(self, head: Head) -> bool:
        """By its banner, its CSV titles, or its keys."""
        signs = ("MIGRATED ", "OMNI Send", "Latency Microseconds", "Throughput Units")
        keys = (match[1] for match in _PAIR.finditer(head.text))
        return any(sign in head.text for sign in signs) or sum(key in SELECTORS for key in keys) >= 2

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """A result per line of values under a header, and per set of keys."""
        for values, banner in _results(lines, note):
            yield _result(values, banner, options, note)


def _results(lines: Iterator[Line], note: Note) -> Iterator[tuple[dict[str, str], str]]:
    """Every result as selector -> text, and the banner over it."""
    banner, header = "", []  # type: tuple[str, list[str]]
    pairs: dict[str, str] = {}
    for line in lines:
        text = line.text.strip()
        if "TEST from" in text:
            if pairs:
                yield pairs, banner
            banner, header, pairs = text, [], {}
        elif match := _PAIR.fullmatch(text):
            if match[1] in pairs:
                yield pairs, banner
                pairs = {}
            pairs[match[1]] = match[2].strip('" ')
        elif titles := _titles(text):
            header = titles
        elif header and text:
            if (row := _row(line, text, header, note)) is not None:
                yield row, banner
        elif "," in text and not header:
            note(line.number, "a row without a header: run netperf without -P 0, or with -k")
    if pairs:
        yield pairs, banner


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


def _result(values: dict[str, str], banner: str, options: ReadOptions, note: Note) -> Result:
    result = Result(workload={"kind": "netperf"})
    numbers: dict[str, float] = {}
    for name, text in values.items():
        if name not in SELECTORS or name in _TEXTS:
            continue
        if (number := amount(text)) is not None:
            numbers[name] = number
        elif (decimal(text) or 0) >= 0:
            # netperf writes -1 for what it did not measure.
            note(0, f"{name} is {plain(text, 40)!r}, which is no number")
    units = values.get("THROUGHPUT_UNITS", "")
    if protocol := values.get("PROTOCOL"):
        result.workload["protocol"] = plain(protocol.lower(), 20)
    if "REQUEST_SIZE" in numbers:
        result.workload["size_bytes"] = numbers["REQUEST_SIZE"]
    result.metrics |= {ours: numbers[name] for name, ours in _PLAIN.items() if name in numbers}
    if resent := [numbers[name] for name in _RESENT if name in numbers]:
        result.metrics["retransmits"] = sum(resent)
    has_requests = "REQUEST/RESPONSE" in banner or units == "Trans/s"
    if has_requests:
        rate = numbers.get("THROUGHPUT") if units in ("", "Trans/s") else None
        result.metrics["rate_rps"] = numbers.get("TRANSACTION_RATE") if rate is None else rate
    elif (throughput := numbers.get("THROUGHPUT")) is not None:
        if units in _BITS:
            result.metrics["throughput_bps"] = throughput * _BITS[units]
        else:
            note(0, f"throughput {throughput:g} has the unit {plain(units, 40)!r}, which is not known; left out")
    _latencies(result, numbers, options, has_requests, note)
    return result


def _latencies(result: Result, numbers: dict[str, float], options: ReadOptions, has_requests: bool, note: Note) -> None:
    values = {ours: numbers[name] for ours, name in LATENCIES.items() if name in numbers}
    if not values:
        return
    if not has_requests and not options.basis:
        note(0, "latencies of a stream test are of its send calls, not round trips; left out (--basis rtt takes them)")
        return
    rate, elapsed = result.metrics.get("rate_rps"), result.metrics.get("elapsed_s")
    requests = None if rate is None or elapsed is None else rate * elapsed
    put_latencies(result, values, options.basis or "rtt", requests)
