"""netperf's output for people: the tables of the classic tests, omni's columns (-O), the histogram of -v 2."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.formats.latency import of_buckets
from harness.formats.text import NUMBER, Line, amount

_N = rf"\s+({NUMBER})"
_SKIP = rf"\s+{NUMBER}"
_CPU = rf"(?:{_N}{_N}{_SKIP}{_SKIP})?"
_TAG = r"(?:\s+[^\d\s]\S{0,80})?\s*"
# Requests: both socket sizes, request, reply, seconds, rate; with -c and -C both CPUs and their service demands.
_REQUESTS = re.compile(rf"\s*\d+\s+\d+{_N}{_N}{_N}{_N}{_CPU}{_TAG}")
# Streams: both socket sizes, message, seconds, throughput.
_STREAM = re.compile(rf"\s*\d+\s+\d+{_N}{_N}{_N}{_CPU}{_TAG}")
# UDP streams: the sender's row with its messages and errors, the receiver's below it.
_SENDER = re.compile(rf"\s*\d+{_N}{_N}{_N}{_SKIP}{_SKIP}(?:{_N}{_SKIP})?\s*")
_RECEIVER = re.compile(rf"\s*\d+{_SKIP}{_N}{_N}(?:{_N}{_SKIP})?\s*")
_MEAN = re.compile(rf"\s*\d+\s+\d+\s+\d+\s+\d+{_N}{_SKIP}{_SKIP}{_SKIP}\s*")
_UNIT = re.compile(r"(10\^\d+bits|[KMG]?Bytes)/s")
_ROW_WORD = re.compile(NUMBER)
_MOST_WORDS, _MOST_TITLES = 14, 12
_CPU_NAMES = ("LOCAL_CPU_UTIL", "REMOTE_CPU_UTIL")


class PlainTable:
    """The titles of a table and its rows, as they come; `end` has its figures by omni's names."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self._values: dict[str, str] = {}
        self._sent = 0.0

    def end(self) -> dict[str, str]:
        """The figures, once."""
        values, self._values = self._values, {}
        return values

    def take(self, line: Line) -> bool:
        """Is the line one of the table's?"""
        title = " ".join(self.titles)
        words = line.text.split()
        if (
            len(words) > _MOST_WORDS
            or not words
            or any(_ROW_WORD.fullmatch(word) is None for word in words[:-1] or words)
        ):
            if words:
                self.titles = [*self.titles[1 - _MOST_TITLES :], line.text.rstrip()]
            return False
        if "RoundTrip" in title and (match := line.fullmatch(_MEAN)):
            self._values["RT_LATENCY"] = match[1]
        elif "Okay" in title:
            return self._datagrams(line)
        elif "Request" in title and "ELAPSED_TIME" not in self._values and (match := line.fullmatch(_REQUESTS)):
            size, reply, seconds, rate, *cpu = match.groups()
            self._values |= {"REQUEST_SIZE": size, "RESPONSE_SIZE": reply, "ELAPSED_TIME": seconds}
            if "Latency" in title and "Trans." not in title:
                self._values["RT_LATENCY"] = rate
            else:
                self._put_rate(title, rate, "Trans/s")
            self._put_cpu(cpu)
        elif "Message" in title and "THROUGHPUT" not in self._values and (match := line.fullmatch(_STREAM)):
            size, seconds, rate, *cpu = match.groups()
            self._values |= {"LOCAL_SEND_SIZE": size, "ELAPSED_TIME": seconds}
            self._put_rate(title, rate, "")
            self._put_cpu(cpu)
        else:
            return bool(self._values)
        return True

    def _datagrams(self, line: Line) -> bool:
        if not self._sent and (match := line.fullmatch(_SENDER)):
            size, seconds, sent, *cpu = match.groups()
            self._sent = amount(sent) or 0.0
            self._values |= {"LOCAL_SEND_SIZE": size, "ELAPSED_TIME": seconds, "SENT": sent}
            self._put_cpu([*cpu, None])
        elif self._sent and (match := line.fullmatch(_RECEIVER)):
            received, rate, cpu_util = match.groups()
            lost = max(0.0, self._sent - (amount(received) or 0.0))
            self._values |= {"LOST": f"{lost:.0f}", "LOST_PERCENT": f"{100 * lost / self._sent:.6f}"}
            self._put_rate(" ".join(self.titles), rate, "")
            self._put_cpu([None, cpu_util])
        else:
            return False
        return True

    def _put_rate(self, title: str, rate: str, otherwise: str) -> None:
        unit = _UNIT.search(title)
        self._values |= {"THROUGHPUT": rate, "THROUGHPUT_UNITS": f"{unit[1]}/s" if unit else otherwise}

    def _put_cpu(self, cpu: list[str | None]) -> None:
        self._values |= {name: text for name, text in zip(_CPU_NAMES, cpu, strict=False) if text is not None}


def human_columns(titles: list[str], line: Line, selectors: Mapping[str, str]) -> dict[str, str]:
    """The values of omni's columns (-O) by selector: four lines of titles, then this one; else empty."""
    rows = [*titles[-5:-1], line.text] if titles and titles[-1] == line.text.rstrip() else [*titles[-4:], line.text]
    width = max(map(len, rows), default=0)
    if len(rows) < 2 or not width or width > 4000:
        return {}
    padded = [row.ljust(width) for row in rows]
    blank = [all(row[at] == " " for row in padded) for at in range(width)] + [True]
    edges = [at for at in range(width + 1) if blank[at]]
    starts = [0, *(edge + 1 for edge in edges)]
    parts = [(start, end) for start, end in zip(starts, [*edges, width], strict=True) if end > start]
    values: dict[str, str] = {}
    for start, end in parts:
        *title, value = (row[start:end].strip() for row in padded)
        if name := selectors.get(" ".join(" ".join(title).split()).lower()):
            values[name] = value
    if "THROUGHPUT" not in values and not any(name.endswith("LATENCY") for name in values):
        return {}
    line.use()
    return values


_HIST_STEPS = {
    "UNIT_USEC": 1.0,
    "TEN_USEC": 10.0,
    "HUNDRED_USEC": 100.0,
    "UNIT_MSEC": 1e3,
    "TEN_MSEC": 1e4,
    "HUNDRED_MSEC": 1e5,
    "UNIT_SEC": 1e6,
    "TEN_SEC": 1e7,
}
_HIST_ROW = re.compile(r"([A-Z]+_[A-Z]+)\s*:\s*(\d[\d:\s]{0,400})")
_HIST_LAST = re.compile(r"(?:>100_SECS|HIST_TOTAL)\s*:\s*(\d{1,18})")


class Histogram:
    """Counts by tens of a decade: from 0 to 10 us in steps of 1, to 100 us in steps of 10, and so on."""

    def __init__(self) -> None:
        self._ends: list[float] = []
        self._counts: list[float] = []
        self._beyond = 0.0
        self.total: float | None = None

    def take(self, line: Line) -> bool:
        """Is the line one of the histogram's?"""
        match = line.search(_HIST_ROW)
        if match and (step := _HIST_STEPS.get(match[1])):
            for place, text in enumerate(match[2].split(":")):
                if text.strip().isdecimal():
                    self._ends.append((place + 1) * step)
                    self._counts.append(float(text))
            return True
        if last := line.search(_HIST_LAST):
            if line.text.startswith("HIST_TOTAL"):
                self.total = float(last[1])
            else:
                self._beyond = float(last[1])
        return last is not None

    def quantiles(self) -> dict[str, float]:
        """Upper ends of the buckets that hold the quantiles, us."""
        quantiles = of_buckets(self._ends, self._counts, self._beyond)
        return {name: value for name, value in quantiles.items() if value is not None}
