"""redis-benchmark's CSV (--csv): a row for each kind of request."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from harness.formats.latency import put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount, plain

_TITLES = {"avg": "mean", "min": "min", "p50": "p50", "p95": "p95", "p99": "p99", "max": "max"}


class RedisBenchmarkCsv(Format):
    """One run per row; its request names the case."""

    name = "redis-benchmark"
    title = "redis-benchmark --csv, with its titles (6.2 and newer) or without"
    one_run = "a row: a kind of request"
    tried = "7.0.15 and 8.0.6"
    unknown = "requests, connections, pipelining and sizes: they are on its command line alone"
    conversions = ("redis-benchmark's latencies count from the sending, in ms with three decimals",)
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its titles, or a row of request and rate."""
        first = head.text.lstrip("\ufeff").split("\n", 1)[0]
        return first.startswith('"test","rps"') or (first.startswith(('"PING', '"SET"', '"GET"')) and "," in first)

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per row."""
        titles = ["test", "rps"]
        for line in lines:
            cells = _cells(line.text)
            if cells[:2] == ["test", "rps"]:
                titles = cells
                line.use()
            elif len(cells) == len(titles) and (rate := amount(cells[1])) is not None:
                line.use()
                yield _result(dict(zip(titles, cells, strict=True)), rate)
            elif cells:
                note(line.number, f"{len(cells)} cells under {len(titles)} titles; the row is left out")


def _cells(text: str) -> list[str]:
    try:
        return next(csv.reader([text]), []) if text.strip() else []
    except csv.Error:
        return []


def _result(row: dict[str, str], rate: float) -> Result:
    result = Result(plain(row["test"], 60), workload={"kind": "redis-benchmark", "protocol": "tcp", "loop": "closed"})
    result.workload["mode"] = plain(row["test"], 60)
    result.metrics["rate_rps"] = rate
    values = {ours: amount(row.get(f"{theirs}_latency_ms", "")) for theirs, ours in _TITLES.items()}
    known = {name: value * 1e3 for name, value in values.items() if value is not None}
    if known:
        put_latencies(result, known, "rtt", None)
        result.environment["latency_from"] = "sent"
    return result
