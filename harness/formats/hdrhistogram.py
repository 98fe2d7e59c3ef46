"""HdrHistogram's files: interval logs (.hlog) and percentile tables (.hgrm)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from harness.formats.hdrcodec import CodecError, decode
from harness.formats.latency import LEVELS, UNITS_US, put_latencies, weighted_quantile
from harness.formats.model import Basis, Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount, count, plain, ratio

_LEGEND = "Interval_Compressed_Histogram"
_TABLE = re.compile(r"\"?Value\"?[ ,\t]+\"?Percentile\"?[ ,\t]+\"?TotalCount\"?")
_MEAN = re.compile(r"#\[Mean\s*=\s*([\d.,]{1,40}),\s+StdDeviation\s*=\s*([\d.,]{1,40})\]")
_MAX = re.compile(r"#\[Max\s*=\s*([\d.,]{1,40}),\s+Total ?[cC]ount\s*=\s*([\d.,]{1,40})\]")


_BASES = {
    "half-rtt": "half round trips, doubled",
    "one-way": "one-way times, in columns oneway_*; no round trip can be made of them",
    "rtt": "whole round trips, as recorded",
}


class HdrHistogram(Format):
    """One run per file; a log with tags gives one case per tag."""

    name = "hdrhistogram"
    title = "HdrHistogram interval logs (.hlog, V2) and percentile tables (.hgrm, which need --unit)"
    one_run = "a file, or a tag of a log"

    def sniff(self, head: Head) -> bool:
        """By the log's legend or the table's header."""
        return _LEGEND in head.text or "#[Histogram log format" in head.text or bool(_TABLE.search(head.text))

    def needs_unit(self, head: Head) -> bool:
        """Yes for a percentile table, which prints bare numbers."""
        return bool(_TABLE.search(head.text))

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
        """One result per tag of a log, or the one of a table."""
        scale, basis = UNITS_US[options.unit or "ns"], options.basis or "rtt"
        tags: dict[str, _Histogram] = {}
        for line in lines:
            text = line.text.strip()
            if _TABLE.search(text):
                yield _table(lines, note, scale, basis)
                return
            if text and not text.startswith("#") and _LEGEND not in text:
                _interval(line, text, tags, note)
        for tag, histogram in tags.items():
            yield histogram.result(tag, scale, basis)


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
        put_latencies(result, _scaled(values, scale), basis, total)
        return result


def _scaled(values: dict[str, float | None], scale: float) -> dict[str, float]:
    return {name: value * scale for name, value in values.items() if value is not None}


def _interval(line: Line, text: str, tags: dict[str, _Histogram], note: Note) -> None:
    """One interval: [Tag=NAME,]start,length,max,histogram."""
    tag = ""
    if text.startswith("Tag="):
        name, _, text = text.partition(",")
        tag = plain(name.removeprefix("Tag="), 60)
    fields = text.split(",")
    if len(fields) != 4:
        note(line.number, "the line is not start,length,max,histogram; it is left out")
        return
    try:
        buckets = decode(fields[3])
    except CodecError as error:
        note(line.number, f"its histogram is left out: {error}")
        return
    histogram = tags.setdefault(tag, _Histogram())
    for low, high, number in buckets:
        histogram.counts[low, high] += number
    length = amount(fields[1])
    if length is None:
        note(line.number, "the length of the interval is no number; the rate is too high by it")
    histogram.elapsed_s += length or 0.0


def _table(lines: Iterator[Line], note: Note, scale: float, basis: Basis) -> Result:
    """A percentile table: a quantile is the value of the first row at or beyond its level."""
    result = Result(workload={"kind": "hdrhistogram"})
    rows: list[tuple[float, float]] = []
    values: dict[str, float | None] = {}
    total: float | None = None
    for line in lines:
        if mean := _MEAN.match(line.text):
            values |= {"mean": amount(mean[1]), "sd": amount(mean[2])}
        elif maximum := _MAX.match(line.text):
            values["max"], whole = amount(maximum[1]), count(maximum[2])
            total = amount(maximum[2]) if whole is None else float(whole)
        elif line.text.strip() and not line.text.startswith("#"):
            cells = line.text.split()
            # Also made as CSV; a decimal comma is no separator where blanks separate.
            cells = cells if len(cells) >= 3 else line.text.split(",")
            numbers = [amount(cell) for cell in cells[:2]]
            if len(cells) < 3 or None in numbers:
                note(line.number, "the row is not value, percentile, count; it is left out")
                continue
            rows.append((numbers[1] or 0.0, numbers[0] or 0.0))
    if not rows:
        note(0, "the table holds no rows")
        return result
    if total is None:
        note(0, "the table's closing lines are missing: quantiles are given without knowing from how many values")
    rows.sort()
    for name, level in LEVELS.items():
        values[name] = next((value for percentile, value in rows if percentile >= level - 1e-9), None)
    values["min"] = rows[0][1] if rows[0][0] == 0 else None
    values.setdefault("max", rows[-1][1] if rows[-1][0] >= 1 else None)
    result.metrics["requests"] = total
    put_latencies(result, _scaled(values, scale), basis, total)
    return result
