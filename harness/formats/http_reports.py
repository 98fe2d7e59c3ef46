"""The reports of ab (ApacheBench) and hey: rate, errors, and latencies counted from when a request was sent."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.latency import count_errors, level_named, put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount, plain

_AB_FIGURES = {"Time taken for tests": "elapsed_s", "Complete requests": "requests", "Requests per second": "rate_rps"}
_AB = re.compile(rf"^([A-Z][A-Za-z0-9 -]{{3,40}}): +({NUMBER})(?: |$)")
_AB_TOTAL = re.compile(rf"^Total: +({NUMBER}) +({NUMBER}) +({NUMBER}) +({NUMBER}) +({NUMBER})\s*$")
_AB_LEVEL = re.compile(rf"^ +(\d{{1,3}})% +({NUMBER})\b")
_AB_ERRORS = ("Failed requests", "Non-2xx responses")
_AB_LENGTH = re.compile(r"^ +\(Connect: \d+, Receive: \d+, Length: (\d{1,15}), Exceptions: \d+\)")
_AB_VERSION = re.compile(r"^This is ApacheBench, Version (\S{1,20})")

_SECONDS = {"secs": 1.0, "sec": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_HEY = re.compile(
    rf"^  (Count|Total|Slowest|Fastest|Average|Requests/sec|Size/request):\s+({NUMBER})"
    r"(?: ?(secs?|[mun\u00b5]?s)| bytes| B)?\s*$"
)
# hey 0.1.5 prints two per cent signs.
_HEY_LEVEL = re.compile(rf"^  (\d{{1,2}}(?:\.\d+)?) ?%{{1,2}} in ({NUMBER}) (secs?|[mun\u00b5]?s)\b")
# Programs that print as hey does, by what hey has not.
_ALIKE = (("  Success rate:", "oha"), ("  Count:", "ghz"))
_HEY_STATUS = re.compile(r"^  \[(\d{3})\]\s+(\d{1,15}) responses")
_HEY_ERROR = re.compile(r"^  \[(\d{1,15})\]\s+\S")
_HEY_LATENCIES = {"Slowest": "max", "Fastest": "min", "Average": "mean"}


class AbReport(Format):
    """One run per report."""

    name = "ab"
    title = "ab (ApacheBench) reports"
    one_run = "a report"
    tried = "2.3 of httpd 2.4.71"
    unknown = "the requests that were asked for; latencies below a millisecond: ab prints whole ones"
    conversions = (
        "ab's latencies are those of its row Total, connecting included, in whole ms: one of 0 is left out",
        "ab's Kbytes are 1024 bytes",
        "answers that ab calls failed for their length alone (another than the first one's) are no errors",
    )
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its first line, or its table."""
        return "This is ApacheBench" in head.text or "Connection Times (ms)" in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per report."""
        result, values, errors = _fresh("ab"), {}, {}  # type: Result, dict[str, float | None], dict[str, float]
        for line in lines:
            if match := line.search(_AB_VERSION):
                if result.metrics:
                    yield _finished(result, values, errors)
                    result, values, errors = _fresh("ab"), {}, {}
                result.environment["program_version"] = plain(match[1], 20)
            elif match := line.search(_AB_TOTAL):
                names = ("min", "mean", "sd", "", "max")
                values |= {name: amount(match[at]) for at, name in enumerate(names, 1) if name}
                result.left_out.append(f"median {match[4]} ms of Total: it is among the percentages")
            elif (match := _AB_LEVEL.search(line.text)) and (name := level_named(float(match[1]))):
                line.search(_AB_LEVEL)
                values[name] = amount(match[2])
            elif match := line.search(_AB_LENGTH):
                errors["Failed requests"] = max(0.0, errors.get("Failed requests", 0.0) - float(match[1]))
            else:
                _ab_line(result, errors, line)
        yield _finished(result, {name: value and value * 1e3 for name, value in values.items()}, errors)


def _ab_line(result: Result, errors: dict[str, float], line: Line) -> None:
    match = _AB.search(line.text)
    if match is None:
        return
    name, value = match[1], amount(match[2])
    if name == "Concurrency Level" and value is not None:
        result.workload["connections"] = value
    elif name == "Document Length":
        result.workload["response_sizes"] = match[2]
    elif name in _AB_FIGURES:
        result.metrics[_AB_FIGURES[name]] = value
    elif name in _AB_ERRORS:
        errors[name] = value or 0.0
    elif name == "Transfer rate":
        result.metrics["throughput_bps"] = None if value is None else 8 * 1024 * value
    else:
        return
    line.search(_AB)


class HeyReport(Format):
    """One run per report."""

    name = "hey"
    title = "reports of hey, and of oha and ghz, which print alike; their CSV is read by compare"
    one_run = "a report"
    tried = "hey 0.1.4, 0.1.5; oha and ghz by look-alikes"
    unknown = "connections and the rate that was asked for: they are on its command line alone"
    conversions = (
        "hey's latencies count from the sending, in s with four decimals; those of ghz and oha have their unit",
    )
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its summary."""
        return "  Requests/sec:" in head.text and "  Slowest:" in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per report."""
        result, values, errors = _fresh("hey"), {}, {}  # type: Result, dict[str, float | None], dict[str, float]
        part = ""
        for line in lines:
            part = line.text if line.text and not line.text.startswith(" ") else part
            if part.startswith("Response time histogram"):
                if line.text == part:
                    result.left_out.append("the histogram: its buckets are wider than the distribution below it")
                line.use()
            elif line.text.startswith("Summary:") and result.metrics:
                yield _finished(result, values, errors)
                result, values, errors = _fresh("hey"), {}, {}
            elif match := line.search(_HEY):
                _hey_figure(result, values, match[1], amount(match[2]), _SECONDS.get(match[3] or "", 1.0))
            elif (match := _HEY_LEVEL.search(line.text)) and (name := level_named(amount(match[1]))):
                line.search(_HEY_LEVEL)
                values[name] = None if (value := amount(match[2])) is None else value * 1e6 * _SECONDS[match[3]]
            elif match := line.search(_HEY_STATUS):
                answers = result.metrics.get("requests") or 0.0
                result.metrics["requests"] = answers + float(match[2])
                if match[1][0] not in "23":
                    errors["Non-2xx responses"] = errors.get("Non-2xx responses", 0.0) + float(match[2])
            elif part.startswith("Error distribution") and (match := line.search(_HEY_ERROR)):
                errors["Failed requests"] = errors.get("Failed requests", 0.0) + float(match[1])
            for sign, kind in _ALIKE:
                if line.text.startswith(sign):
                    result.workload["kind"] = kind
        yield _finished(result, values, errors)


def _hey_figure(
    result: Result, values: dict[str, float | None], name: str, value: float | None, seconds: float
) -> None:
    if name in _HEY_LATENCIES:
        values[_HEY_LATENCIES[name]] = None if value is None else value * seconds * 1e6
    elif name == "Count":
        result.metrics["requests"] = value
    elif name == "Size/request":
        result.workload |= {"response_sizes": f"{value:.0f}"} if value is not None else {}
    else:
        result.metrics["elapsed_s" if name == "Total" else "rate_rps"] = value and value * seconds


def _fresh(kind: str) -> Result:
    return Result(workload={"kind": kind, "protocol": "tcp", "loop": "closed"})


def _finished(result: Result, values: dict[str, float | None], errors: dict[str, float]) -> Result:
    requests = result.metrics.get("requests")
    coarse = [name for name, value in values.items() if value == 0]
    if coarse:
        result.left_out.append(f"{', '.join(coarse)} 0: below what is printed")
    known = {name: value for name, value in values.items() if value}
    if known:
        put_latencies(result, known, "rtt", requests)
        result.environment["latency_from"] = "sent"
    if errors:
        # What hey and oha could not send at all is in no other count of theirs.
        apart = errors.get("Failed requests", 0.0) if result.workload["kind"] in ("hey", "oha") else 0.0
        count_errors(result, errors, (requests or 0.0) + apart)
    return result
