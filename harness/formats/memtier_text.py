"""memtier_benchmark's report on its standard output: requests of redis or memcached, all kinds together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.latency import level_named, put_latencies
from harness.formats.model import NOT_USED, Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount, plain

_ASKED = re.compile(r"^(\d{1,12}) {2,}(Threads|Connections per thread|Requests per client|Seconds)\s*$")
_TITLE = re.compile(
    r"^(ALL STATS|BEST RUN RESULTS|WORST RUN RESULTS|AGGREGATED AVERAGE RESULTS)(?: \((\d{1,6}) runs\))?"
)
_HEADER = re.compile(r"^Type +Ops/sec +")
_TITLES = re.compile(r" {2,}")
_ROW = re.compile(r"^[A-Z][a-z_]+ +[\d.]+ +[\d.-]+ ")
_WHOLE = ("ALL STATS", "AGGREGATED AVERAGE RESULTS")
_QUANTILE = re.compile(r"p([\d.]+) Latency")
# On its standard error: how far a run is, and what befell it.
_STEP = re.compile(r"^\[RUN #(\d{1,6}) \d{1,3}%, .*? (\d{1,15}) ops, ")
_INTERRUPTED = re.compile(r"^\[RUN #\d{1,6}\] Interrupted .* after ([\d.]{1,12}) secs")
_BROKEN = "Connection error: "


class MemtierText(Format):
    """One run per report."""

    name = "memtier-text"
    title = "memtier_benchmark's report (text)"
    one_run = "a report"
    tried = "2.3.0, git 2f74d61; 1.2 by look-alikes"
    unknown = "sizes, the pipeline, the rate that was asked for; of several runs (-x) each by itself: they are together"
    conversions = (
        "memtier's latencies count from the sending; figures are those of the row Totals",
        "requests are those of memtier's progress where that is there, else what was asked for, or rate times seconds",
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
        title, names, runs, lasted = "", [], 1.0, 0.0  # type: str, list[str], float, float
        done: dict[str, float] = {}
        troubles: dict[str, int] = {}
        for line in lines:
            if match := line.search(_STEP):
                if not done:
                    note(line.number, f"{NOT_USED}its progress, but for the last count of each run")
                done[match[1]] = float(match[2])
                line.use()
            elif match := line.search(_INTERRUPTED):
                lasted = amount(match[1]) or 0.0
                troubles[f"interrupted after {match[1]} s"] = 1
            elif line.text.startswith(_BROKEN):
                trouble = plain(line.text, 80)
                troubles[trouble] = troubles.get(trouble, 0) + 1
                line.use()
            elif names and _ROW.search(line.text) and not (line.text.startswith("Totals ") and title in _WHOLE):
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
        if lasted:
            # Its last step is older than its end.
            asked, done = asked | {"Seconds": lasted, "Requests per client": 0.0}, {}
        if cells:
            result = _result(asked, cells, runs, sum(done.values()) if done else None, note)
            for trouble, times in troubles.items():
                result.doubt(f"memtier: {trouble}{f' ({times} times)' if times > 1 else ''}")
            yield result


def _result(
    asked: dict[str, float], cells: dict[str, float | None], runs: float, requests: float | None, note: Note
) -> Result:
    """requests: that were counted, None where they were not."""
    result = Result(workload={"kind": "memtier", "protocol": "tcp"})
    threads, clients = asked.get("Threads"), asked.get("Connections per thread")
    connections = threads * clients if threads and clients else None
    facts = {"threads": threads, "connections": connections, "duration_s": asked.get("Seconds")}
    result.workload |= {name: value for name, value in facts.items() if value}
    each, rate = asked.get("Requests per client"), cells.get("Ops/sec")
    if requests is None and each and connections:
        requests = each * connections * runs
    if requests is None and rate is not None and "Seconds" in asked:
        requests = round(rate * asked["Seconds"] * runs)
    if rate == 0:
        result.fail("memtier: no request was answered")
        requests = 0.0
    kilobytes, hits, misses = cells.get("KB/sec"), cells.get("Hits/sec"), cells.get("Misses/sec")
    result.metrics |= {"requests": requests, "rate_rps": rate}
    result.metrics["throughput_bps"] = None if kilobytes is None else kilobytes * 1024 * 8
    if hits is not None and misses is not None and hits + misses:
        result.metrics["hit_percent"] = 100 * hits / (hits + misses)
    # Versions of 1.2 have one column of latencies, the mean.
    values = {"mean": cells.get("Avg. Latency", cells.get("Latency"))}
    for name, value in cells.items():
        if match := _QUANTILE.fullmatch(name):
            if level := level_named(amount(match[1])):
                values[level] = value
            else:
                note(0, f"{NOT_USED}{name} {value}: a quantile that has no column")
    values = values if requests != 0 else {}
    put_latencies(result, {name: value and value * 1e3 for name, value in values.items()}, "rtt", requests)
    result.environment["latency_from"] = "sent"
    return result
