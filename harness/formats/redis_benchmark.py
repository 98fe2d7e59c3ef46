"""redis-benchmark's CSV (--csv) and its plain report, whole or of one line (-q): a result for each kind of request."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from harness.formats.latency import put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount, plain

_TITLES = {"avg": "mean", "min": "min", "p50": "p50", "p95": "p95", "p99": "p99", "max": "max"}


_KIND = re.compile(r"====== (.{1,80}) ======")
_DONE = re.compile(rf"^  (\d{{1,15}}) requests completed in ({NUMBER}) seconds")
_CLIENTS = re.compile(r"^  (\d{1,9}) parallel clients")
_PAYLOAD = re.compile(r"^  (\d{1,12}) bytes payload")
_RATE = re.compile(rf"^(?:  throughput summary: )?({NUMBER}) requests per second\s*$")
_SUMMARY = re.compile(rf"^ +({NUMBER})" + rf" +({NUMBER})" * 5 + r"\s*$")
_STEP = re.compile(rf"^({NUMBER})% <= ({NUMBER}) milliseconds(?: \(cumulative count (\d{{1,15}})\))?")
_QUIET = re.compile(rf"(?:^|[\r\n ])([\w() -]{{2,40}}): ({NUMBER}) requests per second(?:, p50=({NUMBER}) msec)?")


class RedisBenchmark(Format):
    """One run per row, section or line; its request names the case."""

    name = "redis-benchmark"
    title = "redis-benchmark: its plain report, -q, and --csv with its titles (6.2 and newer) or without"
    one_run = "a kind of request"
    tried = "7.0.15 and 8.0.6"
    unknown = "pipelining; of --csv and -q also requests, connections and sizes: they are on its command line alone"
    conversions = (
        "redis-benchmark's latencies count from the sending, in ms with three decimals",
        "p90 and p99.9 of its plain report are its first steps at or beyond them: too high by up to a step",
    )
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its titles, a row of request and rate, or its report."""
        if _QUIET.search(head.text) or ("====== " in head.text and " parallel clients" in head.text):
            return True
        first = head.text.lstrip("\ufeff").split("\n", 1)[0]
        return first.startswith('"test","rps"') or (first.startswith(('"PING', '"SET"', '"GET"')) and "," in first)

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per kind of request."""
        titles = ["test", "rps"]
        report = _Report()
        for line in lines:
            if report.took(line):
                continue
            if match := line.search(_KIND):
                yield from report.result()
                report = _Report(match[1])
                continue
            if match := line.search(_QUIET):
                row = {"test": match[1].strip(), "p50_latency_ms": match[3] or ""}
                yield _result(row, amount(match[2]) or 0.0)
                continue
            cells = _cells(line.text) if "," in line.text else []
            if cells[:2] == ["test", "rps"]:
                titles = cells
                line.use()
            elif len(cells) == len(titles) and (rate := amount(cells[1])) is not None:
                line.use()
                yield _result(dict(zip(titles, cells, strict=True)), rate)
            elif cells:
                note(line.number, f"{len(cells)} cells under {len(titles)} titles; the row is left out")
        yield from report.result()


class _Report:
    """One section of the plain report. kind: of request, "" before the first."""

    def __init__(self, kind: str = "") -> None:
        self._kind = kind
        self._row: dict[str, str] = {"test": kind}
        self._steps: dict[str, float] = {}
        self._summed = False
        self._rate: float | None = None
        self._facts: dict[str, float] = {}
        self._figures: dict[str, float | None] = {}

    def took(self, line: Line) -> bool:
        """Is the line one of this section's?"""
        if not self._kind:
            return False
        if match := line.search(_DONE):
            self._figures |= {"requests": float(match[1]), "elapsed_s": amount(match[2])}
        elif match := line.search(_CLIENTS):
            self._facts["connections"] = float(match[1])
        elif match := line.search(_PAYLOAD):
            self._facts["size_bytes"] = float(match[1])
        elif match := line.search(_RATE):
            self._rate = amount(match[1])
        elif line.text.lstrip().startswith("avg "):
            self._summed = True
        elif self._summed and (match := line.search(_SUMMARY)):
            names = ("avg", "min", "p50", "p95", "p99", "max")
            self._row |= {f"{name}_latency_ms": text for name, text in zip(names, match.groups(), strict=True)}
            self._summed = False
        elif "Cumulative distribution" in line.text:
            self._steps.setdefault("", 0.0)  # the same once more, by times
        elif match := _STEP.search(line.text):
            self._step(line, match)
        else:
            return False
        return True

    def _step(self, line: Line, match: re.Match[str]) -> None:
        """A quantile that the summary does not have, at the first step that reaches it."""
        share, value = amount(match[1]), amount(match[2])
        for name, level in (("p90", 90.0), ("p99_9", 99.9)):
            if "" not in self._steps and name not in self._steps and share is not None and share >= level:
                line.search(_STEP)
                self._steps[name] = value or 0.0

    def result(self) -> Iterator[Result]:
        """What the section says, if it says anything."""
        if not self._kind or (self._rate is None and not self._figures):
            return
        made = _result(self._row, self._rate, self._steps, self._figures.get("requests"))
        made.workload |= self._facts
        made.metrics |= self._figures
        yield made


def _cells(text: str) -> list[str]:
    try:
        return next(csv.reader([text]), []) if text.strip() else []
    except csv.Error:
        return []


def _result(
    row: dict[str, str], rate: float | None, steps: dict[str, float] | None = None, requests: float | None = None
) -> Result:
    result = Result(plain(row["test"], 60), workload={"kind": "redis-benchmark", "protocol": "tcp", "loop": "closed"})
    result.workload["mode"] = plain(row["test"], 60)
    result.metrics["rate_rps"] = rate
    values = {ours: amount(row.get(f"{theirs}_latency_ms", "")) for theirs, ours in _TITLES.items()}
    values |= {name: value for name, value in (steps or {}).items() if name}
    known = {name: value * 1e3 for name, value in values.items() if value is not None}
    if known:
        put_latencies(result, known, "rtt", requests)
        result.environment["latency_from"] = "sent"
    return result
