"""netperf's tables without titles (-P 0): request/response tests are told by their form, streams state no unit."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount

_SIZE, _FIGURE = r"(\d{1,12})", r"(\d{1,12}\.\d{1,3})"
_REQUESTS = re.compile(rf"\s*{_SIZE} +{_SIZE} +{_SIZE} +{_SIZE} +{_FIGURE} +{_FIGURE}(?: +-?\d[\d.]*){{0,4}}\s*")
_BUFFERS = re.compile(r"\s*\d{1,12} +\d{1,12}\s*")
_STREAM = re.compile(
    rf"\s*\d{{1,12}} +\d{{1,12}} +(?:\d{{1,12}} +)?{_FIGURE} +(?:\d{{1,12}} +\d{{1,12}} +)?{_FIGURE}"
    r"(?: +-?\d[\d.]*){0,4}\s*"
)
_DATAGRAMS = re.compile(rf"\s*\d{{1,12}} +{_FIGURE} +\d{{1,12}} +{_FIGURE}\s*")


class NetperfBare(Format):
    """One run per row of figures."""

    name = "netperf-bare"
    title = "netperf without its titles (-P 0): request/response tests; streams are refused, for they state no unit"
    one_run = "a row of figures"
    tried = "look-alikes of 2.7.1's tables"
    unknown = "the protocol; whether every request had a connection of its own; the unit of a stream"
    conversions = ("six figures above two, without titles, are sizes, seconds and transactions per second",)
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By rows of its form, and nothing else."""
        lines = [line for line in head.text.split("\n")[:20] if line.strip()]
        forms = (_REQUESTS, _BUFFERS, _STREAM, _DATAGRAMS)
        known = bool(lines) and all(any(form.fullmatch(line) for form in forms) for line in lines)
        return known and not _BUFFERS.fullmatch(lines[0])

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per row of figures; what it was asks for the sizes below it."""
        held: re.Match[str] | None = None
        for line in lines:
            if held and _BUFFERS.fullmatch(line.text):
                yield _result(held)
                held = None
            elif _REQUESTS.fullmatch(line.text):
                held = line.fullmatch(_REQUESTS)
            elif _STREAM.fullmatch(line.text):
                result = Result(workload={"kind": "netperf"})
                result.fail(
                    f"netperf: line {line.number} has no titles (-P 0), so that its rate has no unit: run it without "
                    "-P 0, or with -- -k THROUGHPUT,THROUGHPUT_UNITS,ELAPSED_TIME,PROTOCOL,DIRECTION"
                )
                yield result


def _result(match: re.Match[str]) -> Result:
    request, response, seconds, rate = match.groups()[2:6]
    result = Result(workload={"kind": "netperf", "loop": "closed", "size_bytes": float(request)})
    if response != request:
        result.workload["response_sizes"] = response
    result.metrics = {"rate_rps": amount(rate), "elapsed_s": amount(seconds)}
    return result
