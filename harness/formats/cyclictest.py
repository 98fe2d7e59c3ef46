"""cyclictest's JSON (--json): how late threads woke after their timers, all threads together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from harness.formats.jsontext import Json, objects
from harness.formats.latency import of_buckets, put_latencies
from harness.formats.model import NOT_USED, Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount


class CyclictestJson(Format):
    """One run per document."""

    name = "cyclictest"
    title = "cyclictest JSON (--json), with a histogram (-h) or without"
    one_run = "a JSON document"
    tried = "rt-tests 2.4 and 2.6"
    unknown = "quantiles without -h, and above its last bucket"
    conversions = (
        "cyclictest measures how late a thread woke after its timer: columns wakeup_*, never compared with round trips",
        "cyclictest's histogram has whole units: a quantile is the upper end of its bucket, up to a unit too high",
    )
    tells_its_end = True
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By the program's name in its first lines."""
        return '"rt_test_version"' in head.text or ('"cmdline"' in head.text and "cyclictest" in head.text)

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per document."""
        for document in objects(lines, note):
            yield _result(document, note)
            document.unused(note)


def _result(document: Json, note: Note) -> Result:
    result = Result(workload={"kind": "cyclictest"})
    # Its keys end in a colon, by mistake, in some versions.
    if version := document.text("rt_test_version") or document.text("rt_test_version:"):
        result.environment["program_version"] = f"rt-tests {version}"
    if kernel := document.text("sysinfo", "release"):
        result.environment["kernel"] = kernel
    unit = 1e-3 if document.number("resolution_in_ns") else 1.0
    counts: defaultdict[float, float] = defaultdict(float)
    parts = document.at("thread")
    threads = [parts.at(name) for name in parts.names()]
    result.workload["threads"] = document.number("num_threads") or float(len(threads))
    cycles, total, least, most = 0.0, 0.0, [], []
    for thread in threads:
        done = thread.number("cycles") or 0.0
        cycles += done
        total += done * (thread.number("avg") or 0.0)
        least += [value for value in [thread.number("min")] if value is not None]
        most += [value for value in [thread.number("max")] if value is not None]
        histogram = thread.at("histogram")
        for bucket in histogram.names():
            if (value := amount(bucket)) is not None:
                counts[value] += histogram.number(bucket) or 0.0
        histogram.use()
    note(0, f"{NOT_USED}which thread, and min, max and histogram of each by itself: all threads are taken together")
    if not cycles:
        return result
    beyond = max(0.0, cycles - sum(counts.values())) if counts else 0.0
    if beyond:
        note(0, f"{beyond:,.0f} of {cycles:,.0f} wake-ups lie above the histogram; quantiles among them are blank")
    buckets = sorted(counts)
    ends = [(bucket + 1) * unit for bucket in buckets]
    values = of_buckets(ends, [counts[bucket] for bucket in buckets], beyond) if counts else {}
    values |= {"min": min(least, default=0.0) * unit, "max": max(most, default=0.0) * unit}
    values["mean"] = total / cycles * unit
    result.metrics["requests"] = cycles
    put_latencies(result, values, "wakeup", cycles)
    return result
