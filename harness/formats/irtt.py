"""irtt's JSON output: every round trip of an isochronous UDP test, with the directions apart where clocks allow it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.formats.jsontext import Json, objects
from harness.formats.latency import of_values, put_latencies
from harness.formats.model import NOT_USED, Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line

_TIMES = {"min": "min", "mean": "mean", "p50": "median", "sd": "stddev", "max": "max"}


class IrttJson(Format):
    """One run per document."""

    name = "irtt"
    title = "irtt client JSON (-o)"
    one_run = "a JSON document"
    tried = "0.9.0 and 0.9.1"
    unknown = "how far one-way times are those of two clocks: they are not taken"
    conversions = ("irtt's round trips are whole; quantiles are computed from all of them where they are listed",)
    tells_its_end = True
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By the version of irtt in its first part."""
        return '"irtt"' in head.text and head.text.lstrip().startswith("{")

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per document."""
        for document in objects(lines, note):
            yield _result(document, note)
            document.unused(note)


def _result(document: Json, note: Note) -> Result:
    result = Result(workload={"kind": "irtt", "protocol": "udp", "loop": "open"})
    if version := document.text("version", "irtt"):
        result.environment["program_version"] = f"irtt {version}"
    params, stats = document.at("config", "params"), document.at("stats")
    interval, length, duration = params.number("interval"), params.number("length"), params.number("duration")
    facts = {"rate_rps": 1e9 / interval if interval else None, "size_bytes": length}
    facts["duration_s"] = duration / 1e9 if duration else None
    result.workload |= {name: value for name, value in facts.items() if value}
    sent, received = stats.number("packets_sent"), stats.number("packets_received")
    elapsed = stats.number("duration")
    result.metrics |= {
        "sent": sent,
        "requests": received,
        "lost": None if sent is None or received is None else max(0.0, sent - received),
        "lost_percent": stats.number("packet_loss_percent"),
        "duplicates": stats.number("duplicates"),
        "elapsed_s": None if elapsed is None else elapsed / 1e9,
    }
    trips = [trip.number("delay", "rtt") for trip in document.at("round_trips").items()]
    times = np.array([trip for trip in trips if trip is not None])
    if times.size:
        values = of_values(times / 1e3)
        note(0, f"{NOT_USED}the summary of round trips in stats: they are computed anew from all of them")
    else:
        values = {ours: stats.number("rtt", theirs) for ours, theirs in _TIMES.items()}
        values = {name: None if value is None else value / 1e3 for name, value in values.items()}
    put_latencies(result, values, "rtt", received)
    return result
