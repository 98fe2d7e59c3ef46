"""h2load's report and its JSON: requests of HTTP/2, HTTP/3 or HTTP/1.1, their rate, answers and times."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from harness.formats.jsontext import objects
from harness.formats.latency import count_errors, of_values, put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount, duration_us

_SPAN = r"(\d[\d.]*(?:us|ms|s|m|h)\S*)"
_FINISHED = re.compile(rf"^finished in {_SPAN}, ({NUMBER}) req/s")
_ROW = re.compile(r"(?m)^(?:time for )?request *: ")
_REQUESTS = re.compile(
    r"^requests: \d{1,15} total, \d{1,15} started, (\d{1,15}) done, (\d{1,15}) succeeded, (\d{1,15}) failed"
)
# Newer ones have quantiles between the greatest and the mean.
_TIME = re.compile(rf"^(?:time for )?request *: +{_SPAN} +{_SPAN}(?: +{_SPAN} +{_SPAN} +{_SPAN})? +{_SPAN} +{_SPAN}")
_NAMES = ("min", "max", "p50", "p95", "p99", "mean", "sd")
_CLIENTS = re.compile(
    r"^spawning thread #\d{1,6}: (\d{1,9}) total client"
    r"(?:.* test with (\d{1,9})s of warm-up time and (\d{1,9})s of main duration)?"
)


class H2load(Format):
    """One run per report."""

    name = "h2load"
    title = "h2load's report; its log (--log-file) has no header: give it one and compare reads it"
    one_run = "a report"
    tried = "1.52.0, 1.70.0"
    unknown = "quantiles, which older ones do not print; streams at a time (-m), and the rate that was asked for"
    conversions = ("h2load's times count from the sending; its requests are those that were done, good or not",)
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By the row of its times."""
        return bool(_ROW.search(head.text)) and "\nfinished in " in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per report."""
        result, clients, main_s = _fresh(), 0.0, 0.0
        for line in lines:
            if match := line.search(_CLIENTS):
                clients += float(match[1])
                main_s = float(match[3] or 0.0)
                result.workload |= {"warmup_s": float(match[2]), "duration_s": main_s} if main_s else {}
            elif match := line.search(_FINISHED):
                if result.metrics:
                    yield _finished(result)
                    result = _fresh()
                # A warm-up is in the time that it took, and in no other figure.
                elapsed = main_s or (duration_us(match[1]) or 0.0) / 1e6
                result.metrics |= {"elapsed_s": elapsed or None, "rate_rps": amount(match[2])}
                result.workload |= {"connections": clients} if clients else {}
                clients, main_s = 0.0, 0.0
            elif match := line.search(_REQUESTS):
                _put_answers(result, float(match[1]), float(match[2]), float(match[3]))
            elif match := line.search(_TIME):
                values = dict(zip(_NAMES, (duration_us(text or "") for text in match.groups()), strict=True))
                _put_times(result, values)
        if result.metrics:
            yield _finished(result)


class H2loadJson(Format):
    """One run per JSON document."""

    name = "h2load-json"
    title = "h2load's JSON (--output-file), with the time of every request"
    one_run = "a JSON document"
    tried = "1.70.0"
    unknown = "connections, streams at a time (-m), and the rate that was asked for"
    conversions = ("h2load's times count from the sending; quantiles are computed from the times of single requests",)
    tells_its_end = True
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By who wrote it."""
        return bool(re.search(r'"generator"\s*:\s*"h2load', head.text))

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per document."""
        for document in objects(lines, note):
            result, measured = _fresh(), document.at("measurements")
            result.environment["program_version"] = document.text("metadata", "generator")
            result.metrics["rate_rps"] = measured.number("request_per_second")
            result.metrics["elapsed_s"] = measured.number("duration")
            done, good, bad = (measured.number("requests", name) for name in ("done", "succeeded", "failed"))
            _put_answers(result, done or 0.0, good or 0.0, bad or 0.0)
            times = [row.number() for row in measured.at("performance", "request", "samples").items()]
            _put_times(result, of_values(np.array([time * 1e6 for time in times if time is not None])))
            yield _finished(result)
            document.unused(note)


def _fresh() -> Result:
    return Result(workload={"kind": "h2load", "protocol": "tcp"})


def _put_answers(result: Result, done: float, good: float, bad: float) -> None:
    result.metrics["requests"] = done
    count_errors(result, {"failed": bad}, good + bad)


def _put_times(result: Result, values: dict[str, float | None]) -> None:
    done = result.metrics.get("requests")
    if done != 0 and values:
        put_latencies(result, values, "rtt", done)
        result.environment["latency_from"] = "sent"


def _finished(result: Result) -> Result:
    if not result.metrics.get("requests") and result.verdict != "failed":
        result.fail("h2load: no request was done")
    return result
