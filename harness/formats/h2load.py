"""h2load's report: requests of HTTP/2, HTTP/3 or HTTP/1.1, their rate, answers and times."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.latency import count_errors, put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount, duration_us

_SPAN = r"(\d[\d.]*(?:us|ms|s|m|h)\S*)"
_FINISHED = re.compile(rf"^finished in {_SPAN}, ({NUMBER}) req/s")
_REQUESTS = re.compile(
    r"^requests: \d{1,15} total, \d{1,15} started, (\d{1,15}) done, (\d{1,15}) succeeded, (\d{1,15}) failed"
)
_TIME = re.compile(rf"^time for request: +{_SPAN} +{_SPAN} +{_SPAN} +{_SPAN}")
_CLIENTS = re.compile(r"^spawning thread #\d{1,6}: (\d{1,9}) total client")


class H2load(Format):
    """One run per report."""

    name = "h2load"
    title = "h2load's report; its log (--log-file) has no header: give it one and compare reads it"
    one_run = "a report"
    tried = "1.52.0"
    unknown = "quantiles; streams at a time (-m), and the rate that was asked for"
    conversions = ("h2load's times count from the sending; its requests are those that were done, good or not",)
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By the row of its times."""
        return "\ntime for request: " in head.text and "\nfinished in " in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per report."""
        result, clients = _fresh(), 0.0
        for line in lines:
            if match := line.search(_CLIENTS):
                clients += float(match[1])
            elif match := line.search(_FINISHED):
                if result.metrics:
                    yield result
                    result = _fresh()
                elapsed = duration_us(match[1])
                result.metrics |= {"elapsed_s": elapsed and elapsed / 1e6, "rate_rps": amount(match[2])}
                result.workload |= {"connections": clients} if clients else {}
                clients = 0.0
            elif match := line.search(_REQUESTS):
                result.metrics["requests"] = float(match[1])
                count_errors(result, {"failed": float(match[3])}, float(match[2]) + float(match[3]))
            elif match := line.search(_TIME):
                values = dict(zip(("min", "max", "mean", "sd"), map(duration_us, match.groups()), strict=True))
                done = result.metrics.get("requests")
                if done != 0:
                    put_latencies(result, values, "rtt", done)
                    result.environment["latency_from"] = "sent"
        if result.metrics:
            if not result.metrics.get("requests"):
                result.fail("h2load: no request was done")
            yield result


def _fresh() -> Result:
    return Result(workload={"kind": "h2load", "protocol": "tcp"})
