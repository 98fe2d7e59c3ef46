"""sysbench's report: events of a database, files, CPUs, memory, mutexes or threads, and how long each took."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.latency import Measured, count_errors, level_named, put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount, plain, ratio

_VERSION = re.compile(r"^sysbench (\d{1,3}(?:\.\d{1,3}){1,2})")
_THREADS = re.compile(r"^Number of threads: (\d{1,6})")
_TIME = re.compile(rf"^ +(?:total time|time elapsed): +({NUMBER})s")
_EVENTS = re.compile(r"^ +total number of events: +(\d{1,15})")
_LATENCY = re.compile(rf"^ +(?:(min|avg|max)|(\d{{1,2}})th percentile): +({NUMBER})\s*$")
_ERRORS = re.compile(r"^ +ignored errors: +(\d{1,15})")
_KINDS: dict[str, tuple[str, Measured]] = {
    "SQL statistics:": ("database", "rtt"),
    "File operations:": ("files", "io"),
    "CPU speed:": ("cpu", "wakeup"),
    "Running memory speed test": ("memory", "wakeup"),
}
_NAMES = {"min": "min", "avg": "mean", "max": "max"}


class Sysbench(Format):
    """One run per report."""

    name = "sysbench"
    title = "sysbench's report: OLTP with latencies of transactions, fileio with those of requests, others their rate"
    one_run = "a report"
    tried = "1.0.20"
    unknown = "which test of threads or mutexes it was; quantiles but the one it was asked for"
    conversions = (
        "sysbench's latencies are of its events: transactions (rtt_*), requests to files (io_*); those of CPU, memory, "
        "mutexes and threads are of work, and only their rate counts",
        "sysbench prints hundredths of a millisecond: a time of 0.00 is left out",
    )
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its first line and its latencies."""
        return bool(re.search(r"(?m)^sysbench \d", head.text)) or (
            "total number of events:" in head.text and "Latency (ms):" in head.text
        )

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per report."""
        result, values, basis = _fresh(), {}, "wakeup"  # type: Result, dict[str, float | None], Measured
        for line in lines:
            if match := line.search(_VERSION):
                if result.metrics:
                    yield _finished(result, values, basis)
                    result, values, basis = _fresh(), {}, "wakeup"
                result.environment["program_version"] = f"sysbench {plain(match[1], 20)}"
            elif match := line.search(_THREADS):
                result.workload["threads"] = float(match[1])
            elif match := line.search(_TIME):
                result.metrics["elapsed_s"] = amount(match[1])
            elif match := line.search(_EVENTS):
                result.metrics["requests"] = float(match[1])
            elif match := line.search(_ERRORS):
                result.metrics["errors"] = float(match[1])
            elif match := line.search(_LATENCY):
                values[_NAMES[match[1]] if match[1] else level_named(float(match[2])) or match[2]] = amount(match[3])
            for sign, (mode, measured) in _KINDS.items():
                if line.text.startswith(sign):
                    result.workload["mode"], basis = mode, measured
        if result.metrics:
            yield _finished(result, values, basis)


def _fresh() -> Result:
    return Result(workload={"kind": "sysbench"})


def _finished(result: Result, values: dict[str, float | None], basis: Measured) -> Result:
    requests = result.metrics.get("requests")
    result.metrics["rate_rps"] = ratio(requests, result.metrics.get("elapsed_s"))
    if (errors := result.metrics.get("errors")) is not None:
        count_errors(result, {"ignored errors": errors}, None if requests is None else requests + errors)
    if basis == "wakeup":
        result.left_out += [f"latency {name} {value} ms: of work, and of no request" for name, value in values.items()]
        return result
    result.left_out += [f"{name} {value} ms: below what is printed" for name, value in values.items() if not value]
    put_latencies(result, {name: value * 1e3 for name, value in values.items() if value}, basis, requests)
    if basis == "rtt":
        result.environment["latency_from"] = "sent"
    return result
