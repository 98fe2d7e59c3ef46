"""rtla's histograms (timerlat hist, osnoise hist): how late handlers and threads ran, or the noise of a period."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from harness.formats.latency import of_buckets, put_latencies
from harness.formats.model import NOT_USED, Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount

_TITLE = re.compile(r"# RTLA (timerlat|osnoise) histogram")
_UNIT = re.compile(r"# Time unit is (microseconds|nanoseconds)")
_DURATION = re.compile(r"# Duration:\s+(\d{1,15}) (\d{1,15}):(\d{1,15}):(\d{1,15})")
_WORDS = {"IRQ": "irq", "Thr": "thread", "Usr": "user", "CPU": "noise"}
_ENDS = ("over:", "count:", "min:", "avg:", "max:")


@dataclass
class _Column:
    """All CPUs of one kind together. counts by index; sums of the closing lines; mean: of all samples, where told."""

    counts: defaultdict[float, float] = field(default_factory=lambda: defaultdict(float))
    over: float = 0.0
    total: float = 0.0
    weighted: float = 0.0
    mean: float | None = None
    least: list[float] = field(default_factory=list)
    most: list[float] = field(default_factory=list)


class RtlaHistogram(Format):
    """One run per kind of column: the handler's, the thread's, the user space's."""

    name = "rtla"
    title = "rtla timerlat hist and osnoise hist tables"
    one_run = "a kind of column (IRQ, Thr, Usr), all CPUs together"
    tried = "tables as the kernel's manual has them"
    unknown = "quantiles among the samples that its last bucket did not take"
    conversions = (
        "rtla measures how late a handler or a thread ran after its timer, or noise: columns wakeup_*, no round trips",
        "a quantile of rtla's histogram is the upper end of its bucket; samples over it (over:) count as larger",
    )
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its first line."""
        return bool(_TITLE.search(head.text))

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per kind of column."""
        unit, elapsed, kind, words = 1.0, 0.0, "rtla", []  # type: float, float, str, list[str]
        summed = False
        columns: dict[str, _Column] = {}
        for line in lines:
            if match := line.search(_TITLE):
                kind = match[1]
            elif match := line.search(_UNIT):
                unit = 1.0 if match[1] == "microseconds" else 1e-3
            elif match := line.search(_DURATION):
                days, hours, minutes, seconds = map(float, match.groups())
                elapsed = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
            elif line.text.startswith("Index"):
                words = [word.partition("-")[0] for word in line.text.split()[1:]]
                line.use()
                note(line.number, f"{NOT_USED}which CPU a column is of: all of a kind are taken together")
            elif line.text.startswith("ALL:"):
                # Newer versions close with the same lines for all CPUs together.
                words, summed = line.text.split()[1:], True
            elif words and (_mean if summed else _row)(line, words, columns):
                line.use()
        for word, column in columns.items():
            yield _result(kind, word, column, unit, elapsed, note)


def _row(line: Line, words: list[str], columns: dict[str, _Column]) -> bool:
    """Is it a row of counts, or one of the closing lines, of as many cells as there are columns?"""
    first, *cells = line.text.split() or [""]
    numbers = [amount(cell) for cell in cells]
    if len(cells) != len(words) or (first not in _ENDS and amount(first) is None):
        return False
    parts = [columns.setdefault(word, _Column()) for word in words]
    for part, number in zip(parts, numbers, strict=True):
        if number is None:
            continue
        if first == "over:":
            part.over += number
        elif first == "count:":
            part.total += number
        elif first == "min:":
            part.least.append(number)
        elif first == "max:":
            part.most.append(number)
        elif first == "avg:":
            # The mean of all CPUs is that of their buckets: their own means are printed without decimals.
            continue
        else:
            part.counts[amount(first) or 0.0] += number
    return True


def _mean(line: Line, words: list[str], columns: dict[str, _Column]) -> bool:
    """Is it the mean of all CPUs, with its decimals: the only one of these lines that tells more than others do?"""
    first, *cells = line.text.split() or [""]
    if first != "avg:" or len(cells) != len(words) or "." not in line.text:
        return False
    for word, cell in zip(words, cells, strict=True):
        columns.setdefault(word, _Column()).mean = amount(cell)
    return True


def _result(kind: str, word: str, column: _Column, unit: float, elapsed: float, note: Note) -> Result:
    result = Result(_WORDS.get(word, word.lower()), workload={"kind": "rtla", "mode": kind})
    indexes = sorted(column.counts)
    width = min((after - before for before, after in pairwise(indexes)), default=1.0)
    counts = [column.counts[index] for index in indexes]
    total = sum(counts) + column.over
    if column.total and column.total != total:
        note(0, f"{word}: its rows and `over` add up to {total:,.0f}, and `count` says {column.total:,.0f}")
    if column.over:
        note(0, f"{word}: {column.over:,.0f} of {total:,.0f} lie above the histogram; quantiles among them are blank")
    if not total:
        return result
    result.metrics |= {"requests": total, "elapsed_s": elapsed or None}
    values = of_buckets([(index + width) * unit for index in indexes], counts, column.over)
    values |= {"min": min(column.least, default=None), "max": max(column.most, default=None)}
    values |= {name: None if (value := values[name]) is None else value * unit for name in ("min", "max")}
    if column.mean is not None:
        values["mean"] = column.mean * unit
    elif not column.over:
        middle = sum((index + width / 2) * count for index, count in zip(indexes, counts, strict=True))
        values["mean"] = middle / total * unit
    put_latencies(result, values, "wakeup", total)
    if kind == "osnoise":
        result.environment["latency_basis"] = "length of a noise"
    return result
