"""fio's own text, and its terse lines (--minimal): rate and latencies of requests to storage."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.latency import UNITS_US, level_named, put_latencies
from harness.formats.model import NOT_USED, Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount, plain

_UNITS = {"nsec": "ns", "usec": "us", "msec": "ms", "sec": "s"}
_NUM = r"(\d{1,18}(?:\.\d{1,9})?)"
_JOB = re.compile(r"^(\S[^:]{0,80}): \(groupid=\d{1,6}, jobs=(\d{1,6})\): err= {0,3}(\d{1,5})")
_DIRECTION = re.compile(rf"^ {{0,4}}(read|write|trim): IOPS={_NUM}([kM]?), BW=.*\(.*/(\d{{1,15}})msec\)")
_TIMES = re.compile(
    rf"^ {{2,8}}(clat|lat) \((nsec|usec|msec)\): min= {{0,9}}{_NUM}([kM]?), max= {{0,9}}{_NUM}([kM]?), "
    rf"avg= {{0,9}}{_NUM}, stdev= {{0,9}}{_NUM}"
)
_LEVELS = re.compile(r"^ {2,8}(clat|lat) percentiles \((nsec|usec|msec)\):")
_LEVEL = re.compile(r"(\d{1,2}\.\d{2})th=\[ *(\d{1,18})\]")
_ISSUED = re.compile(r"^ {2,8}issued rwts: total=(\d{1,15}),(\d{1,15}),(\d{1,15})")
_TERSE = re.compile(r"^3;fio-\S+;")
_PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6}
# Places of a terse line, version 3: of the reading part, then of the writing one.
_PARTS = {"read": 5, "write": 46}
_PARTS_LONG = 41


class FioText(Format):
    """One run per job and direction."""

    name = "fio-text"
    title = "fio's text, and its terse lines of version 3 (--minimal)"
    one_run = "a job and direction"
    tried = "3.33"
    unknown = "of the text: rates and times beyond the digits it prints; of terse lines: trims"
    conversions = (
        "fio measures requests to storage: columns io_*, never compared with round trips",
        "fio's latencies are completion latencies (clat); terse lines have them in us",
    )
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By the line of a job, or the first fields of a terse one."""
        return any(_JOB.search(line) or _TERSE.search(line) for line in head.text.splitlines())

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per job and direction in which anything was done."""
        job, results, unit, failed = "", [], 0.0, 0.0  # type: str, list[_Part], float, float
        for line in lines:
            if _TERSE.search(line.text):
                yield from _of_terse(line, note)
            elif match := line.search(_JOB):
                yield from (part.result() for part in results)
                job, results = match[1], []
                failed = float(match[3])
            elif match := line.search(_DIRECTION):
                results.append(_Part(plain(job), match[1], failed))
                results[-1].took(amount(match[2]), match[3], amount(match[4]))
            elif results and (match := _TIMES.search(line.text)) and match[1] == "clat":
                line.search(_TIMES)
                results[-1].times(match)
            elif " percentiles (" in line.text:
                # Those of fsync, of a priority or of submission are others than the completion's.
                match = _LEVELS.search(line.text)
                unit = UNITS_US[_UNITS[match[2]]] if match and match[1] == "clat" else 0.0
            elif unit and results and (found := _LEVEL.findall(line.text)):
                results[-1].levels(found, unit)
                line.use()
            elif match := line.search(_ISSUED):
                for part in results:
                    part.done(match)
        yield from (part.result() for part in results)


class _Part:
    """A direction of a job."""

    def __init__(self, job: str, direction: str, failed: float) -> None:
        self.made = Result(f"{job} {direction}", workload={"kind": "fio", "mode": direction})
        self.direction = direction
        self.values: dict[str, float | None] = {}
        self.others: list[str] = []
        if failed:
            self.made.doubt(f"fio: the job ended with error {failed:g}")

    def took(self, rate: float | None, prefix: str, elapsed_ms: float | None) -> None:
        """Its rate and its time."""
        self.made.metrics["rate_rps"] = None if rate is None else rate * _PREFIXES[prefix]
        self.made.metrics["elapsed_s"] = None if elapsed_ms is None else elapsed_ms / 1e3

    def times(self, match: re.Match[str]) -> None:
        """Its least, largest and mean time, and their deviation."""
        unit = UNITS_US[_UNITS[match[2]]]
        self.values |= {"min": (amount(match[3]) or 0.0) * unit * _PREFIXES[match[4]]}
        self.values |= {"max": (amount(match[5]) or 0.0) * unit * _PREFIXES[match[6]]}
        self.values |= {"mean": (amount(match[7]) or 0.0) * unit, "sd": (amount(match[8]) or 0.0) * unit}

    def levels(self, found: list[tuple[str, str]], unit: float) -> None:
        """Quantiles of a line."""
        for level, value in found:
            if name := level_named(amount(level)):
                self.values[name] = float(value) * unit
            else:
                self.others.append(f"{level} % {value}")

    def done(self, match: re.Match[str]) -> None:
        """How many requests there were."""
        self.made.metrics["requests"] = float(match[("read", "write", "trim").index(self.direction) + 1])

    def result(self) -> Result:
        """All of it."""
        if self.others:
            self.made.left_out.append(f"quantiles that have no column: {', '.join(self.others)}")
        put_latencies(self.made, self.values, "io", self.made.metrics.get("requests"))
        return self.made


def _of_terse(line: Line, note: Note) -> Iterator[Result]:
    cells = line.text.strip().split(";")
    line.use()
    if len(cells) < _PARTS["write"] + _PARTS_LONG:
        note(line.number, "it has too few fields for a terse line of version 3; left out")
        return
    used = {0, 1, 2, 4}
    for direction, first in _PARTS.items():
        rate, elapsed_ms = amount(cells[first + 2]), amount(cells[first + 3])
        if not rate:
            continue
        result = Result(f"{plain(cells[2])} {direction}", workload={"kind": "fio", "mode": direction})
        result.environment["program_version"] = plain(cells[1], 40)
        if error := amount(cells[4]):
            result.doubt(f"fio: the job ended with error {error:g}")
        elapsed = None if elapsed_ms is None else elapsed_ms / 1e3
        requests = None if elapsed is None else round(rate * elapsed)
        result.metrics |= {"rate_rps": rate, "elapsed_s": elapsed, "requests": requests}
        values = {name: amount(cells[first + 8 + at]) for at, name in enumerate(("min", "max", "mean", "sd"))}
        used |= {first + 2, first + 3, *range(first + 8, first + 12)}
        for at in range(first + 12, first + 32):
            level, _, value = cells[at].partition("=")
            if name := level_named(amount(level)):
                values[name] = amount(value)
                used.add(at)
        put_latencies(result, values, "io", requests)
        yield result
    rest = ";".join(cell for at, cell in enumerate(cells) if at not in used)
    note(line.number, f"{NOT_USED}of a terse line {rest}")
