"""HdrHistogram's files: interval logs (.hlog) and percentile tables (.hgrm)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from harness.errors import InputError
from harness.importers.each import Note, another, read_each
from harness.importers.figures import amount, count, share
from harness.importers.files import Files, Line, plain
from harness.importers.hdrcodec import CodecError, decode
from harness.importers.model import Basis, Format, Head, ImportedRun, Options, Reading
from harness.importers.quantiles import LEVELS, UNITS_US, put, say, weighted

_LEGEND = "Interval_Compressed_Histogram"
_TABLE = re.compile(r"\"?Value\"?[ ,\t]+\"?Percentile\"?[ ,\t]+\"?TotalCount\"?")
_MEAN = re.compile(r"#\[Mean\s*=\s*([\d.,]{1,40}),\s+StdDeviation\s*=\s*([\d.,]{1,40})\]")
_MAX = re.compile(r"#\[Max\s*=\s*([\d.,]{1,40}),\s+Total ?[cC]ount\s*=\s*([\d.,]{1,40})\]")


class HdrHistogram(Format):
    """One run per file; a log with tags gives one case per tag."""

    name = "hdrhistogram"
    title = "HdrHistogram interval logs (.hlog, V2) and percentile tables (.hgrm, which need --unit)"

    def sniff(self, head: Head) -> bool:
        """By the log's legend or the table's header."""
        return _LEGEND in head.text or "#[Histogram log format" in head.text or bool(_TABLE.search(head.text))

    def read(self, files: Files, options: Options) -> Reading:
        """One run per file and tag. Raises InputError when a table is there and its unit was not said."""
        reading = Reading()
        basis: Basis = options.basis or "rtt"
        if not options.unit:
            for file in files.files:
                if _TABLE.search(file.head()):
                    raise InputError(
                        "import a percentile table",
                        on=file.name,
                        got="it does not say the unit of its values",
                        todo="say it: --unit us (or ns, ms, s)",
                        where="--unit",
                    )
            reading.converted("HdrHistogram log values are taken as ns, as is usual (--unit says otherwise)")
        if not options.basis:
            reading.converted(
                "HdrHistogram does not say what it measured; whole round trips are assumed (--basis)"
            )
        say(reading, basis, "HdrHistogram values")
        reading.converted(
            "HdrHistogram quantiles are the upper ends of its buckets, its mean that of their middles"
        )
        reading.converted(
            "a quantile of a percentile table is its first row at or beyond: too high by up to a row"
        )
        scale = UNITS_US[options.unit or "ns"]

        def parse(run: ImportedRun, lines: Iterator[Line], note: Note) -> list[ImportedRun]:
            run.workload["kind"] = "hdrhistogram"
            return _parse(run, lines, note, scale, basis)

        return read_each(files, options, reading, parse, self.sniff)


@dataclass
class _Histogram:
    """Counts by bucket, merged over the intervals of one tag."""

    counts: dict[tuple[int, int], int] = field(default_factory=dict)
    elapsed_s: float = 0.0

    def add(self, buckets: list[tuple[int, int, int]]) -> None:
        for low, high, number in buckets:
            self.counts[low, high] = self.counts.get((low, high), 0) + number


def _parse(
    run: ImportedRun, lines: Iterator[Line], note: Note, scale: float, basis: Basis
) -> list[ImportedRun]:
    tags: dict[str, _Histogram] = {}
    for line in lines:
        text = line.text.strip()
        if _TABLE.search(text):
            _table(run, lines, note, scale, basis)
            return []
        if not text or text.startswith("#") or _LEGEND in text:
            continue
        _interval(line, text, tags, note)
    runs = [run]
    for number, (tag, histogram) in enumerate(tags.items(), 1):
        case = f"{run.case} {tag}" if tag else run.case
        if number > 1:
            runs.append(another(run, number, case))
            runs[-1].workload["kind"] = "hdrhistogram"
        runs[-1].case = case
        _fill(runs[-1], histogram, scale, basis)
    return runs[1:]


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
    histogram.add(buckets)
    length = amount(fields[1])
    if length is None:
        note(line.number, "the length of the interval is no number; the rate is too high by it")
    histogram.elapsed_s += length or 0.0


def _fill(run: ImportedRun, histogram: _Histogram, scale: float, basis: Basis) -> None:
    total = sum(histogram.counts.values())
    run.metrics |= {"requests": float(total)}
    if histogram.elapsed_s > 0:
        run.metrics |= {
            "elapsed_s": histogram.elapsed_s,
            "rate_rps": share(float(total), histogram.elapsed_s),
        }
    if not total:
        return
    buckets = sorted(histogram.counts)
    high = np.array([upper for _, upper in buckets], dtype=np.float64)
    middle = np.array([lower + (upper + 1 - lower) // 2 for lower, upper in buckets], dtype=np.float64)
    weights = np.array([histogram.counts[each] for each in buckets], dtype=np.float64)
    mean = float(np.average(middle, weights=weights))
    values: dict[str, float | None] = {
        "min": float(buckets[0][0]),
        "mean": mean,
        "sd": float(np.sqrt(np.average((middle - mean) ** 2, weights=weights))),
        "max": float(high[-1]),
    }
    values |= {name: weighted(high, weights, level) for name, level in LEVELS.items()}
    scaled = {name: value * scale for name, value in values.items() if value is not None}
    put(run, scaled, basis, float(total))


def _table(run: ImportedRun, lines: Iterator[Line], note: Note, scale: float, basis: Basis) -> None:
    """A percentile table: a quantile is the value of the first row at or beyond its level."""
    rows: list[tuple[float, float]] = []
    counts: list[float] = []
    values: dict[str, float | None] = {}
    total: float | None = None
    for line in lines:
        if mean := _MEAN.match(line.text):
            values |= {"mean": amount(mean[1]), "sd": amount(mean[2])}
        elif maximum := _MAX.match(line.text):
            values["max"], total = amount(maximum[1]), _total(maximum[2])
        elif line.text.strip() and not line.text.startswith("#"):
            cells = line.text.split()
            # Also made as CSV; a decimal comma is no separator where blanks separate.
            cells = cells if len(cells) >= 3 else line.text.split(",")
            numbers = [amount(cell) for cell in cells[:2]]
            if len(cells) < 3 or None in numbers:
                note(line.number, "the row is not value, percentile, count; it is left out")
                continue
            rows.append((numbers[1] or 0.0, numbers[0] or 0.0))
            counts.append(_total(cells[2]) or 0.0)
    if not rows:
        note(0, "the table holds no rows")
        return
    if total is None:
        note(
            0,
            "the table's closing lines are missing: quantiles are given without knowing from how many values",
        )
    rows.sort()
    for name, level in LEVELS.items():
        values[name] = next((value for percentile, value in rows if percentile >= level - 1e-9), None)
    values["min"] = rows[0][1] if rows[0][0] == 0 else None
    values.setdefault("max", rows[-1][1] if rows[-1][0] >= 1 else None)
    run.metrics["requests"] = total
    put(run, {name: value * scale for name, value in values.items() if value is not None}, basis, total)


def _total(text: str) -> float | None:
    value = count(text)
    return float(value) if value is not None else amount(text)
