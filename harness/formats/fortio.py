"""fortio's JSON result: requests of HTTP, gRPC, TCP or UDP, their rate, answers and latencies."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.jsontext import Json, objects
from harness.formats.latency import count_errors, level_named, put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount

_GOOD = re.compile(r"2\d\d|3\d\d|OK|SERVING")
_TIMES = {"min": "Min", "mean": "Avg", "sd": "StdDev", "max": "Max"}


class FortioJson(Format):
    """One run per JSON document."""

    name = "fortio"
    title = "fortio JSON results (-json)"
    one_run = "a JSON document"
    tried = "look-alikes of its published results"
    unknown = "whether waiting to be sent is in a latency: it is not, they count from the sending"
    conversions = (
        "fortio's latencies count from when a request was sent; its quantiles are interpolated within its buckets",
    )
    tells_its_end = True
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its histogram of durations."""
        return '"DurationHistogram"' in head.text or '"RequestedQPS"' in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per document."""
        for document in objects(lines, note):
            yield _result(document)
            document.unused(note)


def _result(document: Json) -> Result:
    result = Result(workload={"kind": "fortio", "protocol": "udp" if document.text("RunType") == "UDP" else "tcp"})
    if mode := document.text("RunType"):
        result.workload["mode"] = mode.lower()
    if version := document.text("Version"):
        result.environment["program_version"] = f"fortio {version}"
    rate = amount(document.text("RequestedQPS"))
    facts = {"threads": document.number("NumThreads"), "connections": document.number("NumThreads"), "rate_rps": rate}
    result.workload |= {name: value for name, value in facts.items() if value}
    result.workload["loop"] = "open" if rate else "closed"
    histogram = document.at("DurationHistogram")
    total = histogram.number("Count")
    duration = document.number("ActualDuration")
    result.metrics |= {"requests": total, "rate_rps": document.number("ActualQPS")}
    result.metrics["elapsed_s"] = None if duration is None else duration / 1e9
    values = {ours: histogram.number(theirs) for ours, theirs in _TIMES.items()}
    for row in histogram.at("Percentiles").items():
        value = row.number("Value")
        if name := level_named(row.number("Percentile")):
            values[name] = value
    known = {name: value * 1e6 for name, value in values.items() if value is not None}
    if known:
        put_latencies(result, known, "rtt", total)
        result.environment["latency_from"] = "sent"
    _answers(result, document.at("RetCodes"), total)
    return result


def _answers(result: Result, codes: Json, total: float | None) -> None:
    counts = {name: codes.number(name) or 0.0 for name in codes.names()}
    bad = {name: count for name, count in counts.items() if count and not _GOOD.fullmatch(name)}
    if counts:
        count_errors(result, {f"x {name}": count for name, count in bad.items()}, total)
