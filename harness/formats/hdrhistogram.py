"""HdrHistogram's files: interval logs (.hlog) and percentile tables (.hgrm)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from harness.formats.hdrcodec import CodecError, decode
from harness.formats.hdrtable import TABLE, HdrTable, read_table
from harness.formats.latency import LEVELS, UNITS_US, put_latencies, weighted_quantile
from harness.formats.model import NOT_USED, Basis, Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount, plain, ratio
from harness.formats.wrk import DISTRIBUTION, REPORT, WrkReport

_LEGEND = "Interval_Compressed_Histogram"
_SECOND = re.compile(r"\"?StartTimestamp\"?,\"?(\w+)\"?,")
_MEMTIER = "HDR latency histogram results"
_LATEST_S = 1e8
"""Beyond it a number of seconds is a point in time, and no length."""
# cassandra-stress: what its tags count from. A wait is no latency: how long after its time a request was sent.
_FROM = {"-rt": "due", "-st": "sent"}

_BASES = {
    "half-rtt": "half round trips, doubled",
    "one-way": "one-way times, in columns oneway_*; no round trip can be made of them",
    "rtt": "whole round trips, as recorded",
}


class HdrHistogram(Format):
    """One run per file; a log with tags gives one case per tag."""

    name = "hdrhistogram"
    title = "HdrHistogram interval logs (.hlog, V2) and percentile tables (.hgrm, which need --unit)"
    one_run = "a table, or a tag of a log"
    tried = "hdrhistogram 0.10.8 (Python), memtier (git 2f74d61)"
    unknown = "what was measured, its unit (but in memtier's logs), and whether waiting to be sent is in it"
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By the log's legend or the table's header; wrk2's tables are wrk's."""
        if DISTRIBUTION.search(head.text):
            return False
        return _LEGEND in head.text or "#[Histogram log format" in head.text or bool(TABLE.search(head.text))

    def needs_unit(self, head: Head) -> bool:
        """Yes for a percentile table, which prints bare numbers."""
        return bool(TABLE.search(head.text)) and not DISTRIBUTION.search(head.text)

    def conversions_with(self, options: ReadOptions) -> tuple[str, ...]:
        """What was assumed of unit and basis, and how quantiles come about."""
        unit = "HdrHistogram log values are taken as ns, as is usual (--unit says otherwise)"
        basis = "HdrHistogram does not say what it measured; whole round trips are assumed (--basis)"
        return (
            *([] if options.unit else [unit]),
            *([] if options.basis else [basis]),
            f"HdrHistogram values: {_BASES[options.basis or 'rtt']}",
            "HdrHistogram quantiles are the upper ends of its buckets, its mean that of their middles",
            "a quantile of a percentile table is its first row at or beyond: too high by up to a row",
        )

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per tag of a log, or per percentile table."""
        scale, basis = UNITS_US[options.unit or "ns"], options.basis or "rtt"
        log = _Log(note)
        for line in lines:
            if TABLE.search(line.text):
                line.use()
                yield _table_result(read_table(lines, note), scale, basis)
            elif REPORT.search(line.text):
                # wrk2 prints two tables of one run, and its own unit: they are told apart by their titles.
                yield from WrkReport().parse(chain([line], lines), note, options)
                return
            elif _MEMTIER in line.text and not options.unit:
                scale = UNITS_US["us"]
                note(line.number, "the log is memtier's, whose values are us")
            else:
                log.take(line)
        for tag, histogram in log.tags.items():
            yield histogram.result(tag, scale, basis)


class _Log:
    """The lines of an interval log, and its histograms by tag."""

    def __init__(self, note: Note) -> None:
        self.tags: dict[str, _Histogram] = {}
        self._note = note
        self._second = ""

    def take(self, line: Line) -> None:
        """One line: the titles, which say what the second column is, or an interval."""
        text = line.text.strip()
        if _LEGEND in text:
            line.use()
            if match := _SECOND.search(text):
                self._second = match[1]
                unused = "Interval_Max" if match[1].startswith("End") else "StartTimestamp, Interval_Max"
                self._note(line.number, f"{NOT_USED}columns {unused}; the histograms have what they say")
        elif text and not text.startswith("#"):
            line.use()
            self._interval(line, text)

    def _interval(self, line: Line, text: str) -> None:
        """One interval: [Tag=NAME,]start,length or end,max,histogram."""
        tag = ""
        if text.startswith("Tag="):
            name, _, text = text.partition(",")
            tag = plain(name.removeprefix("Tag="), 60)
        fields = text.split(",")
        if len(fields) != 4:
            self._note(line.number, "the line is not start,length,max,histogram; it is left out")
            return
        try:
            buckets = decode(fields[3])
        except CodecError as error:
            self._note(line.number, f"its histogram is left out: {error}")
            return
        histogram = self.tags.setdefault(tag, _Histogram())
        for low, high, number in buckets:
            histogram.counts[low, high] += number
        histogram.elapsed_s += self._length(line, fields[0], fields[1])

    def _length(self, line: Line, start: str, second: str) -> float:
        """Of an interval, s."""
        begin, number = amount(start), amount(second)
        if number is None or begin is None:
            self._note(line.number, "the length of the interval is no number; the rate is too high by it")
            return 0.0
        if not self._second:
            self._second = "EndTimestamp" if number > _LATEST_S else "Interval_Length"
            self._note(line.number, f"no title says what the second column is; it is taken as {self._second}")
        if not self._second.startswith("End"):
            return number
        if number < begin:
            self._note(line.number, "the interval ends before it starts; the rate is too high by it")
        return max(0.0, number - begin)


@dataclass
class _Histogram:
    """Counts by bucket (its lowest and its highest value), merged over the intervals of one tag."""

    counts: Counter[tuple[int, int]] = field(default_factory=Counter)
    elapsed_s: float = 0.0

    def result(self, tag: str, scale: float, basis: Basis) -> Result:
        """Its figures. scale: microseconds in a unit of its values."""
        result = Result(tag, workload={"kind": "hdrhistogram"})
        total = float(self.counts.total())
        result.metrics["requests"] = total
        if self.elapsed_s > 0:
            result.metrics |= {"elapsed_s": self.elapsed_s, "rate_rps": ratio(total, self.elapsed_s)}
        if not total:
            return result
        buckets = sorted(self.counts)
        high = np.array([upper for _, upper in buckets], dtype=np.float64)
        middle = np.array([lower + (upper + 1 - lower) // 2 for lower, upper in buckets], dtype=np.float64)
        weights = np.array([self.counts[bucket] for bucket in buckets], dtype=np.float64)
        mean = float(np.average(middle, weights=weights))
        values: dict[str, float | None] = {
            "min": float(buckets[0][0]),
            "mean": mean,
            "sd": float(np.sqrt(np.average((middle - mean) ** 2, weights=weights))),
            "max": float(high[-1]),
        }
        values |= {name: weighted_quantile(high, weights, level) for name, level in LEVELS.items()}
        scaled = _scaled(values, scale)
        if tag.endswith("-wt"):
            result.metrics |= {f"lateness_{name}_us": scaled[name] for name in ("p50", "p99", "max") if name in scaled}
            return result
        put_latencies(result, scaled, basis, total)
        if counted_from := _FROM.get(tag[-3:]):
            result.environment["latency_from"] = counted_from
        return result


def _scaled(values: dict[str, float | None], scale: float) -> dict[str, float]:
    return {name: value * scale for name, value in values.items() if value is not None}


def _table_result(table: HdrTable, scale: float, basis: Basis) -> Result:
    result = Result(workload={"kind": "hdrhistogram"})
    if table.rows:
        result.metrics["requests"] = table.total
        put_latencies(result, _scaled(table.values, scale), basis, table.total)
    return result
