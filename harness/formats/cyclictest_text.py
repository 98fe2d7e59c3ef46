"""cyclictest's own text: the last state of its threads, and the histogram of -h; all threads together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.formats.latency import UNITS_US, of_buckets, put_latencies
from harness.formats.model import NOT_USED, Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount

_COUNT = r"{0,10}(-?\d{1,18})"
_THREAD = re.compile(
    r"^T: {0,2}(\d{1,5}) \([^:]{1,20}:[^:]{1,20}I:[^:]{1,20}"
    rf"C: {_COUNT} Min: {_COUNT} Act[^A]{{1,24}}Avg: {_COUNT} Max: {_COUNT}"
)
_BUCKET = re.compile(r"^(\d{6,})((?:[ \t]+\d{6,})+)[ \t]*$")
_CLOSING = re.compile(
    r"^# (Total|Min Latencies|Avg Latencies|Max Latencies|Histogram Overflows):((?:[ \t]+\d+)+)[ \t]*$"
)


@dataclass
class _Seen:
    """threads: the last line of each; counts: of all threads, by bucket; closing: the numbers below the histogram."""

    threads: dict[str, Line] = field(default_factory=dict)
    counts: dict[float, float] = field(default_factory=dict)
    closing: dict[str, list[float]] = field(default_factory=dict)


class CyclictestText(Format):
    """One run per file, or per histogram in it."""

    name = "cyclictest-text"
    title = "cyclictest's text: -q or the last state of its display, and the histogram of -h; with -N say --unit ns"
    one_run = "a file, or a histogram"
    tried = "rt-tests 2.4"
    unknown = "quantiles without -h; that -N made them nanoseconds; how many threads there were, but for those it lists"
    conversions = (
        "cyclictest measures how late a thread woke after its timer: columns wakeup_*, never compared with round trips",
        "cyclictest's histogram has whole units: a quantile is the upper end of its bucket, up to a unit too high",
    )
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By the line of a thread, or the closing lines of a histogram."""
        text = head.text
        return bool(re.search(r"(?m)^T: ?\d+ \( *\d+\) P: *\d+ I:", text) or "# Histogram\n000000 " in text)

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result a histogram; a display is written over and over, and its last state counts."""
        seen = _Seen()
        for line in lines:
            if line.text == "# Histogram" and seen.closing:
                yield _result(seen, note, UNITS_US.get(options.unit, 1.0))
                seen = _Seen()
            if match := _THREAD.search(line.text):
                seen.threads[match[1]] = line
            elif match := line.search(_BUCKET):
                seen.counts[float(match[1])] = sum(map(float, match[2].split()))
            elif match := line.search(_CLOSING):
                seen.closing[match[1]] = list(map(float, match[2].split()))
            elif line.text.startswith("# Thread "):
                line.use()
                note(line.number, f"{NOT_USED}the cycles at which samples lay above the histogram")
        if seen.threads or seen.closing:
            yield _result(seen, note, UNITS_US.get(options.unit, 1.0))


def _result(seen: _Seen, note: Note, unit: float) -> Result:
    result = Result(workload={"kind": "cyclictest"})
    rows = [match for line in seen.threads.values() if (match := line.search(_THREAD))]
    cycles = [float(row[2]) for row in rows]
    least, means, most = ([amount(row[at]) or 0.0 for row in rows] for at in (3, 4, 5))
    counted = sum(seen.counts.values())
    if not rows:
        within, over = (seen.closing.get(name, []) for name in ("Total", "Histogram Overflows"))
        cycles = [sum(pair) for pair in zip(within, over or [0.0] * len(within), strict=False)]
        least, means, most = (seen.closing.get(f"{name} Latencies", []) for name in ("Min", "Avg", "Max"))
    total = sum(cycles)
    result.workload["threads"] = float(len(cycles))
    note(0, f"{NOT_USED}which thread, and earlier states of each: all threads are taken together, as they ended")
    if not total:
        return result
    beyond = max(0.0, total - counted) if counted or seen.closing else 0.0
    if beyond:
        note(0, f"{beyond:,.0f} of {total:,.0f} wake-ups lie above the histogram; quantiles among them are blank")
    buckets = sorted(seen.counts)
    ends = [(bucket + 1) * unit for bucket in buckets]
    values = of_buckets(ends, [seen.counts[bucket] for bucket in buckets], beyond) if buckets else {}
    if len(means) == len(cycles):
        values["mean"] = sum(count * mean for count, mean in zip(cycles, means, strict=True)) / total * unit
    ran = [at for at, count in enumerate(cycles) if count]
    values["min"] = min((least[at] for at in ran if at < len(least)), default=0.0) * unit
    values["max"] = max((most[at] for at in ran if at < len(most)), default=0.0) * unit
    result.metrics["requests"] = total
    put_latencies(result, values, "wakeup", total)
    return result
