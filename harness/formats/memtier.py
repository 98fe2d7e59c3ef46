"""memtier_benchmark's JSON output: requests of redis or memcached, all kinds together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.formats.hdrcodec import CodecError, decode
from harness.formats.jsontext import Json, objects
from harness.formats.latency import LEVELS, count_errors, put_latencies, weighted_quantile
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount, ratio

_NAMES = {"p50": "p50.00", "p90": "p90.00", "p95": "p95.00", "p99": "p99.00", "p99_9": "p99.90", "p99_99": "p99.99"}


class MemtierJson(Format):
    """One run per document."""

    name = "memtier"
    title = "memtier_benchmark JSON (--json-out-file)"
    one_run = "a JSON document"
    tried = "2.3.0 and git 2f74d61"
    unknown = "latencies of one run, where --run-count made several: they are summed up"
    conversions = (
        "memtier's latencies count from the sending; figures are those of its histogram (us) where it is there",
    )
    tells_its_end = True
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By the parts of its document."""
        return (
            '"ALL STATS"' in head.text
            or '"memtier' in head.text
            or (head.text.lstrip().startswith("{") and '"configuration"' in head.text and '"key_pattern"' in head.text)
        )

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per document."""
        for document in objects(lines, note):
            yield _result(document, note)
            document.unused(note)


def _result(document: Json, note: Note) -> Result:
    result = Result(workload={"kind": "memtier", "protocol": "tcp"})
    _describe(result, document.at("configuration"))
    stats = document.at("ALL STATS")
    totals = stats.at("Totals")
    requests = totals.number("Count")
    elapsed_ms = stats.number("Runtime", "Total duration")
    kilobytes = totals.number("KB/sec")
    gets, hits = stats.number("Gets", "Ops/sec"), stats.number("Gets", "Hits/sec")
    result.metrics |= {
        "requests": requests,
        "rate_rps": totals.number("Ops/sec"),
        "elapsed_s": None if elapsed_ms is None else elapsed_ms / 1e3,
        "throughput_bps": None if kilobytes is None else kilobytes * 1024 * 8,
        "hit_percent": None if (share := ratio(hits, gets)) is None else 100 * share,
        "errors": totals.number("Connection Errors"),
    }
    latencies = _latencies(totals, note)
    put_latencies(result, latencies if requests != 0 else {}, "rtt", requests)
    result.environment["latency_from"] = "sent"
    if requests == 0:
        result.fail("memtier: no request was answered")
    elif errors := totals.number("Connection Errors"):
        count_errors(result, {"connection errors": errors}, None if requests is None else requests + errors)
    each, connections = document.number("configuration", "requests"), result.workload.get("connections")
    runs = document.number("configuration", "run_count") or 1.0
    asked = each * float(connections) * runs if each and connections else 0.0
    if requests and (stats.text("Runtime", "Interrupted") == "true" or requests < asked):
        of_all = f", of {asked:,.0f} that were asked for" if asked else ""
        result.doubt(f"memtier: it ended early, after {requests:,.0f} requests{of_all}")
    return result


def _describe(result: Result, asked: Json) -> None:
    threads, clients = asked.number("threads"), asked.number("clients")
    facts = {
        "threads": threads,
        "connections": threads * clients if threads and clients else None,
        "depth": asked.number("pipeline"),
        "size_bytes": asked.number("data_size"),
        "duration_s": asked.number("test_time"),
        # It is asked of every connection.
        "rate_rps": limit * threads * clients
        if threads and clients and (limit := asked.number("rate_limit"))
        else None,
    }
    result.workload["loop"] = "open" if facts["rate_rps"] else "closed"
    if asked.number("reconnect_interval") == 1:
        result.workload["connect_per_request"] = "on"
    result.workload |= {name: value for name, value in facts.items() if value}
    if mode := asked.text("protocol"):
        result.workload["mode"] = mode
    writes, _, reads = asked.text("ratio").partition(":")
    if (w := amount(writes)) is not None and (r := amount(reads)) is not None and w + r:
        result.workload["get_share"] = r / (w + r)


def _latencies(totals: Json, note: Note) -> dict[str, float | None]:
    """In us: of the histogram where it is there, else as printed in ms."""
    printed = totals.at("Percentile Latencies")
    text = printed.at("Histogram log format", "Compressed Histogram").value
    if isinstance(text, str):
        try:
            # memtier leaves out the padding.
            buckets = decode(text + "=" * (-len(text) % 4))
        except CodecError as error:
            note(0, f"its histogram is left out: {error}")
        else:
            printed.use("Histogram log format", "Compressed Histogram")
            return _of_histogram(buckets)
    values = {"min": totals.number("Min Latency"), "max": totals.number("Max Latency")}
    # The mean of the totals is 0 in some versions, which sum up its parts all the same.
    mean = totals.number("Average Latency") or totals.number("Latency")
    values["mean"] = mean or ratio(totals.number("Accumulated Latency"), totals.number("Count")) or None
    values |= {ours: printed.number(theirs) for ours, theirs in _NAMES.items()}
    return {name: None if value is None else value * 1e3 for name, value in values.items()}


def _of_histogram(buckets: list[tuple[int, int, int]]) -> dict[str, float | None]:
    if not buckets:
        return {}
    low, high, counts = (np.array(column, dtype=np.float64) for column in zip(*buckets, strict=True))
    middle = low + (high + 1 - low) // 2
    mean = float(np.average(middle, weights=counts))
    values: dict[str, float | None] = {"min": float(low[0]), "mean": mean, "max": float(high[-1])}
    values["sd"] = float(np.sqrt(np.average((middle - mean) ** 2, weights=counts)))
    return values | {name: weighted_quantile(high, counts, level) for name, level in LEVELS.items()}
