"""netperf's omni output: CSV (-o) with its header, or KEY=VALUE lines (-k)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from harness.importers.each import Note, another, read_each
from harness.importers.figures import amount, decimal
from harness.importers.files import Files, Line, plain
from harness.importers.model import Format, Head, ImportedRun, Options, Reading
from harness.importers.quantiles import put

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
_BITS = {"10^0bits/s": 1.0, "10^3bits/s": 1e3, "10^6bits/s": 1e6, "10^9bits/s": 1e9} | {
    "Bytes/s": 8.0,
    "KBytes/s": 8.0 * 2**10,
    "MBytes/s": 8.0 * 2**20,
    "GBytes/s": 8.0 * 2**30,
}
_LATENCIES = {
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
_TEXTS = ("THROUGHPUT_UNITS", "PROTOCOL")


class Netperf(Format):
    """One run per result; a file may hold several."""

    name = "netperf"
    title = "netperf omni output: CSV with its header (-o, without -P 0), or KEY=VALUE lines (-k)"

    def sniff(self, head: Head) -> bool:
        """By its banner, its CSV titles, or its keys."""
        return (
            any(
                title in head.text
                for title in ("MIGRATED ", "OMNI Send", "Latency Microseconds", "Throughput Units")
            )
            or sum(found[1] in SELECTORS for found in _PAIR.finditer(head.text)) >= 2
        )

    def read(self, files: Files, options: Options) -> Reading:
        """One run per result found."""
        reading = Reading()
        reading.converted("netperf latencies of request/response tests are whole round trips, as recorded")

        def parse(run: ImportedRun, lines: Iterator[Line], note: Note) -> list[ImportedRun]:
            runs = [run]
            for number, (values, banner) in enumerate(_results(lines, note), 1):
                if number > 1:
                    runs.append(another(run, number))
                _fill(runs[-1], values, banner, options, note)
            return runs[1:]

        return read_each(files, options, reading, parse, self.sniff)


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


def _fill(run: ImportedRun, values: dict[str, str], banner: str, options: Options, note: Note) -> None:
    numbers: dict[str, float | None] = {}
    for name, text in values.items():
        if name in SELECTORS and name not in _TEXTS:
            numbers[name] = amount(text)
            # netperf writes -1 for what it did not measure.
            if numbers[name] is None and (decimal(text) or 0) >= 0:
                note(0, f"{name} is {plain(text, 40)!r}, which is no number")
    units = values.get("THROUGHPUT_UNITS", "")
    transactions = "REQUEST/RESPONSE" in banner or units == "Trans/s"
    run.workload["kind"] = "netperf"
    if protocol := values.get("PROTOCOL"):
        run.workload["protocol"] = plain(protocol.lower(), 20)
    if numbers.get("REQUEST_SIZE") is not None:
        run.workload["size_bytes"] = numbers["REQUEST_SIZE"]
    run.metrics |= {ours: numbers[name] for name, ours in _PLAIN.items() if numbers.get(name) is not None}
    resent = [
        numbers[name] for name in ("LOCAL_TRANSPORT_RETRANS", "REMOTE_TRANSPORT_RETRANS") if name in numbers
    ]
    if known := [value for value in resent if value is not None]:
        run.metrics["retransmits"] = sum(known)
    _rates(run, numbers, units, transactions, note)
    _latencies(run, numbers, options, transactions, note)


def _rates(
    run: ImportedRun, numbers: dict[str, float | None], units: str, transactions: bool, note: Note
) -> None:
    throughput = numbers.get("THROUGHPUT")
    if transactions:
        rate = throughput if units in ("", "Trans/s") else numbers.get("TRANSACTION_RATE")
        run.metrics["rate_rps"] = numbers.get("TRANSACTION_RATE") if rate is None else rate
    elif throughput is not None:
        if units in _BITS:
            run.metrics["throughput_bps"] = throughput * _BITS[units]
        else:
            note(
                0,
                f"throughput {throughput:g} has the unit {plain(units, 40)!r}, which is not known; left out",
            )


def _latencies(
    run: ImportedRun, numbers: dict[str, float | None], options: Options, transactions: bool, note: Note
) -> None:
    values = {ours: numbers.get(name) for ours, name in _LATENCIES.items()}
    if all(value is None for value in values.values()):
        return
    if not transactions and not options.basis:
        note(
            0,
            "latencies of a stream test are of its send calls, not round trips; left out (--basis rtt takes them)",
        )
        return
    rate, elapsed = run.metrics.get("rate_rps"), run.metrics.get("elapsed_s")
    put(run, values, options.basis or "rtt", None if rate is None or elapsed is None else rate * elapsed)
