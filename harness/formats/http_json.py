"""JSON results of load generators of HTTP and gRPC: oha, ghz and autocannon."""

from __future__ import annotations

from collections.abc import Iterator

from harness.formats.jsontext import Json, objects
from harness.formats.latency import count_errors, level_named, put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount, ratio

_AUTOCANNON = {"min": "min", "mean": "average", "sd": "stddev", "p50": "p50", "p90": "p90", "p99": "p99",
               "p99_9": "p99_9", "p99_99": "p99_99", "max": "max"}  # fmt: skip


class OhaJson(Format):
    """One run per JSON document."""

    name = "oha-json"
    title = "oha's JSON (--output-format json, or -j of older ones); its text is hey's"
    one_run = "a JSON document"
    tried = "look-alikes of its published results"
    unknown = "connections and the rate that was asked for: they are on its command line alone"
    conversions = ("oha's latencies count from the sending, unless --latency-correction had them count from when due",)
    tells_its_end = True
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its summary."""
        return '"requestsPerSec"' in head.text and '"successRate"' in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per document."""
        for document in objects(lines, note):
            result = Result(workload={"kind": "oha", "protocol": "tcp"})
            summary = document.at("summary")
            values = {"min": summary.number("fastest"), "mean": summary.number("average")}
            values["max"] = summary.number("slowest")
            levels = document.at("latencyPercentiles")
            for text in levels.names():
                if name := level_named(amount(text.removeprefix("p"))):
                    values[name] = levels.number(text)
            answers = _counts(document.at("statusCodeDistribution"))
            failed = _counts(document.at("errorDistribution"))
            requests = sum(answers.values()) if answers or failed else None
            result.metrics |= {"requests": requests, "rate_rps": summary.number("requestsPerSec")}
            result.metrics["elapsed_s"] = summary.number("total")
            bad = {f"x {code}": count for code, count in answers.items() if code[:1] not in "23"}
            count_errors(result, {**bad, **failed}, (requests or 0.0) + sum(failed.values()))
            yield _timed(result, values, 1e6, requests)
            document.unused(note)


class GhzJson(Format):
    """One run per JSON document."""

    name = "ghz-json"
    title = "ghz's JSON (-O json, pretty); its text is hey's"
    one_run = "a JSON document"
    tried = "look-alikes of its published results"
    unknown = "what of --skipFirst and --count-errors was asked"
    conversions = ("ghz's latencies count from the sending of a call, and are those of good answers alone",)
    tells_its_end = True
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By two of its keys, its details coming last."""
        return '"endReason"' in head.text and '"rps"' in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per document."""
        for document in objects(lines, note):
            result = Result(workload={"kind": "ghz", "protocol": "tcp"})
            asked = document.at("options")
            facts = {"connections": asked.number("connections"), "threads": asked.number("concurrency"),
                     "rate_rps": asked.number("rps") or None}  # fmt: skip
            result.workload |= {name: value for name, value in facts.items() if value is not None}
            total, requests = document.number("total"), document.number("count")
            result.metrics |= {"requests": requests, "rate_rps": document.number("rps")}
            result.metrics["elapsed_s"] = None if total is None else total / 1e9
            values = {"min": document.number("fastest"), "mean": document.number("average")}
            values["max"] = document.number("slowest")
            for row in document.at("latencyDistribution").items():
                value = row.number("latency")
                if name := level_named(row.number("percentage")):
                    values[name] = value
            answers = _counts(document.at("statusCodeDistribution"))
            bad = {f"x {code}": count for code, count in answers.items() if code.upper() != "OK"}
            count_errors(result, bad, requests, alone=True)
            yield _timed(result, values, 1e-3, requests)
            document.unused(note)


class AutocannonJson(Format):
    """One run per JSON document."""

    name = "autocannon"
    title = "autocannon --json"
    one_run = "a JSON document"
    tried = "9.0.0"
    unknown = "the rate that was asked for; latencies below a millisecond: autocannon counts whole ones"
    conversions = ("autocannon's latencies count from the sending, in whole ms: one of 0 is left out",)
    tells_its_end = True
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By keys that are in no other."""
        return '"pipelining"' in head.text and '"sampleInt"' in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per document."""
        for document in objects(lines, note):
            result = Result(workload={"kind": "autocannon", "protocol": "tcp"})
            facts = {"connections": document.number("connections"), "depth": document.number("pipelining")}
            result.workload |= {name: value for name, value in facts.items() if value is not None}
            requests, elapsed = document.number("requests", "total"), document.number("duration")
            result.metrics |= {"requests": requests, "elapsed_s": elapsed, "rate_rps": ratio(requests, elapsed)}
            moved = ratio(document.number("throughput", "total"), elapsed)
            result.metrics["throughput_bps"] = None if moved is None else 8 * moved
            names = ("non2xx", "errors", "timeouts", "mismatches", "resets")
            errors = {name: count for name in names if (count := document.number(name)) is not None}
            # Its errors count the time-outs as well.
            errors["errors"] = max(0.0, errors.get("errors", 0.0) - errors.get("timeouts", 0.0))
            # Answers alone are its requests.
            lost = errors["errors"] + errors.get("timeouts", 0.0)
            count_errors(result, errors, None if requests is None else requests + lost)
            times = document.at("latency")
            values = {ours: times.number(theirs) for ours, theirs in _AUTOCANNON.items()}
            coarse = [name for name, value in values.items() if value == 0 and name != "sd"]
            if coarse:
                result.left_out.append(f"{', '.join(coarse)} 0: below what is printed")
            yield _timed(result, {name: values[name] for name in values if name not in coarse}, 1e3, requests)
            document.unused(note)


def _counts(part: Json) -> dict[str, float]:
    return {name: part.number(name) or 0.0 for name in part.names()}


def _timed(result: Result, values: dict[str, float | None], unit_us: float, requests: float | None) -> Result:
    known = {name: value * unit_us for name, value in values.items() if value is not None}
    if known:
        put_latencies(result, known, "rtt", requests)
        result.environment["latency_from"] = "sent"
    return result
