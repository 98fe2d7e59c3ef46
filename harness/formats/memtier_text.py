"""memtier_benchmark's report on its standard output: requests of redis or memcached, all kinds together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.latency import level_named, put_latencies
from harness.formats.model import NOT_USED, Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount

_ASKED = re.compile(r"^(\d{1,12}) {2,}(Threads|Connections per thread|Requests per client|Seconds)\s*$")
_TITLE = re.compile(
    r"^(ALL STATS|BEST RUN RESULTS|WORST RUN RESULTS|AGGREGATED AVERAGE RESULTS)(?: \((\d{1,6}) runs\))?"
)
_HEADER = re.compile(r"^Type +Ops/sec +")
_TITLES = re.compile(r" {2,}")
_ROW = re.compile(r"^[A-Z][a-z_]+ +[\d.]+ +[\d.-]+ ")
_WHOLE = ("ALL STATS", "AGGREGATED AVERAGE RESULTS")
_QUANTILE = re.compile(r"p([\d.]+) Latency")


class MemtierText(Format):
    """One run per report."""

    name = "memtier-text"
    title = "memtier_benchmark's report (text)"
    one_run = "a report"
    tried = "git 2f74d61"
    unknown = "sizes, the pipeline, the rate that was asked for; of several runs (-x) each by itself: they are together"
    conversions = (
        "memtier's latencies count from the sending; figures are those of the row Totals",
        "of several runs of memtier the aggregated average counts, and neither the best nor the worst",
    )
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its titles."""
        return bool(_TITLE.search(head.text) or re.search(r"(?m)^(ALL STATS|BEST RUN RESULTS)$", head.text)) and bool(
            re.search(r"(?m)^Type +Ops/sec", head.text)
        )

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result: what all kinds of requests came to."""
        asked: dict[str, float] = {}
        cells: dict[str, float | None] = {}
        title, names, runs = "", [], 1.0  # type: str, list[str], float
        for line in lines:
            if names and _ROW.search(line.text) and not (line.text.startswith("Totals ") and title in _WHOLE):
                line.use()
                note(line.number, f"{NOT_USED}{title.lower()}: {' '.join(line.text.split())}")
            elif match := line.search(_ASKED):
                asked[match[2]] = float(match[1])
            elif match := line.search(_TITLE):
                title, runs = match[1], float(match[2] or runs)
            elif _HEADER.search(line.text):
                names = _TITLES.split(line.text.strip())
                line.use()
            elif line.text.startswith("Totals ") and title in _WHOLE:
                values = line.text.split()
                if len(values) != len(names):
                    note(line.number, "its row of totals has other columns than its titles; left out")
                    continue
                line.use()
                cells = {name: amount(value) for name, value in zip(names, values, strict=True)}
        if cells:
            yield _result(asked, cells, runs, note)


def _result(asked: dict[str, float], cells: dict[str, float | None], runs: float, note: Note) -> Result:
    result = Result(workload={"kind": "memtier", "protocol": "tcp"})
    threads, clients = asked.get("Threads"), asked.get("Connections per thread")
    connections = threads * clients if threads and clients else None
    facts = {"threads": threads, "connections": connections, "duration_s": asked.get("Seconds")}
    result.workload |= {name: value for name, value in facts.items() if value}
    each, rate = asked.get("Requests per client"), cells.get("Ops/sec")
    requests = each * connections * runs if each and connections else None
    if requests is None and rate is not None and "Seconds" in asked:
        requests = round(rate * asked["Seconds"] * runs)
    kilobytes, hits, misses = cells.get("KB/sec"), cells.get("Hits/sec"), cells.get("Misses/sec")
    result.metrics |= {"requests": requests, "rate_rps": rate}
    result.metrics["throughput_bps"] = None if kilobytes is None else kilobytes * 1024 * 8
    if hits is not None and misses is not None and hits + misses:
        result.metrics["hit_percent"] = 100 * hits / (hits + misses)
    values = {"mean": cells.get("Avg. Latency")}
    for name, value in cells.items():
        if match := _QUANTILE.fullmatch(name):
            if level := level_named(amount(match[1])):
                values[level] = value
            else:
                note(0, f"{NOT_USED}{name} {value}: a quantile that has no column")
    put_latencies(result, {name: value and value * 1e3 for name, value in values.items()}, "rtt", requests)
    result.environment["latency_from"] = "sent"
    return result
