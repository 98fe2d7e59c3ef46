"""k6's summaries at the end of a test: the text, --summary-export and what handleSummary gets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.jsontext import Json, objects
from harness.formats.latency import count_errors, level_named, put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount, duration_us

_KINDS = ("http_req", "grpc_req")
_STATS = {"avg": "mean", "min": "min", "med": "p50", "max": "max"}
_LEVEL = re.compile(r"p\((\d{1,2}(?:\.\d+)?)\)")
# A metric with a threshold begins with a mark that says whether it was kept.
_MARK = r"^\s*(?:(?:[✓✗]|âœ.) *)?"
_TREND = re.compile(_MARK + r"(http|grpc)_req_duration\.*: (.*)$")
_STAT = re.compile(r"(avg|min|med|max|p\([\d.]+\))=(\S+)")
_REQUESTS = re.compile(_MARK + rf"(?:http_reqs|grpc_reqs)\.*: (\d{{1,15}}) +({NUMBER})/s")
_FAILED = re.compile(
    _MARK + r"http_req_failed\.*: +[\d.]+% +(?:✓|âœ“)? ?(\d{1,15})(?: out of (\d{1,15})| +(?:✗|âœ—) ?(\d{1,15}))"
)


class K6Json(Format):
    """One run per JSON document."""

    name = "k6-json"
    title = "k6's summary as JSON (--summary-export, handleSummary); its CSV is read by compare"
    one_run = "a JSON document"
    tried = "look-alikes of its published results"
    unknown = "whether its executor waits for answers (VUs) or keeps a rate; how long it ran"
    conversions = (
        "k6's latencies are http_req_duration, or grpc_req_duration: sent to answered, without what connecting took",
    )
    tells_its_end = True
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By names of its metrics, one of which is in every summary."""
        names = ('"http_req_duration', '"grpc_req_duration', '"iteration_duration"')
        return '"metrics"' in head.text and any(name in head.text for name in names)

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per document."""
        for document in objects(lines, note):
            metrics = document.at("metrics")
            kind = next((kind for kind in _KINDS if metrics.at(f"{kind}_duration")), _KINDS[0])
            trend, counts = _values(metrics.at(f"{kind}_duration")), _values(metrics.at(f"{kind}s"))
            failed = _values(metrics.at(f"{kind}_failed"))
            stats = {name: value * 1e3 for name in trend.names() if (value := trend.number(name)) is not None}
            yield _result(stats, counts.number("count"), counts.number("rate"), failed.number("passes"))
            document.unused(note)


class K6Text(Format):
    """One run per summary."""

    name = "k6"
    title = "k6's summary at the end of a test (text)"
    one_run = "a summary"
    tried = "look-alikes of its published results"
    unknown = K6Json.unknown
    conversions = K6Json.conversions
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By the row of a metric."""
        return bool(re.search(rf"(?m){_TREND.pattern}", head.text))

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result: a test has one summary."""
        stats: dict[str, float] = {}
        count, rate, failed = None, None, None  # type: float | None, float | None, float | None
        for line in lines:
            if match := _TREND.search(line.text):
                found = {name: duration_us(text) for name, text in _STAT.findall(match[2])}
                stats = {name: value for name, value in found.items() if value is not None}
                line.use()
            elif match := line.search(_REQUESTS):
                count, rate = amount(match[1]), amount(match[2])
            elif match := line.search(_FAILED):
                failed = amount(match[1])
        if stats or count is not None:
            yield _result(stats, count, rate, failed)


def _values(part: Json) -> Json:
    """A metric's figures: handleSummary's are one level deeper than those of --summary-export."""
    return part.at("values") if part.at("values") else part


def _result(stats: dict[str, float], count: float | None, rate: float | None, failed: float | None) -> Result:
    """stats: by k6's names, in us."""
    result = Result(workload={"kind": "k6", "protocol": "tcp"})
    result.metrics |= {"requests": count, "rate_rps": rate}
    values: dict[str, float | None] = {}
    for name, value in stats.items():
        level = _LEVEL.fullmatch(name)
        if ours := _STATS.get(name) or (level_named(amount(level[1])) if level else ""):
            values[ours] = value
        else:
            result.left_out.append(f"{name} {value:g} us: it has no column")
    if failed is not None:
        count_errors(result, {"requests failed": failed}, count)
    if values:
        put_latencies(result, values, "rtt", count)
        result.environment["latency_from"] = "sent"
    return result
