"""flent's data files (.flent, .flent.gz): each of their series, by its own unit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.formats.jsontext import Json, objects
from harness.formats.latency import of_values, put_latencies
from harness.formats.model import NOT_USED, Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount, plain

_RATES = {"Mbits/s": 1e6, "Kbits/s": 1e3, "Gbits/s": 1e9, "bits/s": 1.0}
# What flent computes from other series and is no rate or time, though it has their unit.
_INDICES = ("FairnessRunner", "DiffMinRunner")
# Runners whose values are means: of an interval, of other series.
_OF_MEANS = ("NetperfDemoRunner", "AverageRunner", "SmoothAverageRunner", "SumRunner")


class FlentData(Format):
    """One run per series."""

    name = "flent"
    title = "flent data files (.flent.gz)"
    one_run = "a series: a ping or a transfer"
    tried = "2.1.1, 2.3.0"
    unknown = "which end measured a transfer's rate: it is that of the program that flent ran"
    conversions = (
        "flent's pings are single round trips a few times a second: quantiles are computed from those in the file",
        "pings that netperf made are means of intervals: their mean is that of all requests, and quantiles are blank",
        "a transfer's rate is that of the program that flent ran, or the mean of its samples",
    )
    tells_its_end = True
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By the names of its parts."""
        return '"SERIES_META"' in head.text or '"x_values"' in head.text or ".flent" in head.name

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per series with values."""
        for document in objects(lines, note):
            meta = document.at("metadata", "SERIES_META")
            for name in document.at("results").names():
                yield from _series(document, meta.at(name), name, note)
            for part in ("results", "raw_values", "x_values"):
                document.use(part)
            note(
                0, f"{NOT_USED}x_values, results and samples of series that have better ones, and their t, seq and dur"
            )
            document.unused(note)


def _series(document: Json, meta: Json, name: str, note: Note) -> Iterator[Result]:
    raw = [value for point in document.at("raw_values", name).items() if (value := point.number("val")) is not None]
    shown = [value for point in document.at("results", name).items() if (value := point.number()) is not None]
    times = np.array(raw or shown)
    if not times.size or "::" in name:
        # Series of a series (retransmits, windows) have names of their own, with a double colon.
        return
    runner = meta.text("RUNNER")
    if runner in _INDICES:
        note(0, f"{NOT_USED}{plain(name, 80)}: computed from other series, and no rate or time")
        return
    result = Result(plain(name, 80), workload={"kind": "flent"})
    if test := document.text("metadata", "NAME"):
        result.workload["mode"] = test
    if version := document.text("metadata", "FLENT_VERSION"):
        result.environment["program_version"] = f"flent {version}"
    if kernel := document.text("metadata", "KERNEL_RELEASE"):
        result.environment["kernel"] = kernel
    result.metrics["elapsed_s"] = document.number("metadata", "TOTAL_LENGTH")
    unit = meta.text("UNITS") or ("ms" if "ping" in name.lower() else "")
    if unit == "ms" and runner in _OF_MEANS:
        put_latencies(result, {"mean": _mean(meta, times) * 1e3}, "rtt", None)
        result.left_out.append(f"{result.tag}: {times.size} means of intervals, of which no quantile can be had")
    elif unit == "ms":
        result.metrics["requests"] = float(times.size)
        put_latencies(result, of_values(times * 1e3), "rtt", float(times.size))
    elif unit in _RATES:
        result.metrics["throughput_bps"] = _mean(meta, times) * _RATES[unit]
        result.metrics["elapsed_s"] = meta.number("ELAPSED_TIME") or document.number("metadata", "LENGTH")
        result.metrics["retransmits"] = amount(meta.text("TCP_RETRANSMIT"))
        ways = {"upload": "client to server", "download": "server to client"}
        way = next((way for word, way in ways.items() if word in name.lower()), "")
        result.workload |= {"direction": way, "protocol": "udp" if "UDP" in name else "tcp"} if way else {}
    else:
        if not unit:
            note(0, f"{NOT_USED}{result.tag}: the file does not state its unit (SERIES_META, UNITS)")
        return
    yield result


def _mean(meta: Json, values: np.ndarray) -> float:
    """Over its own time the program that flent ran has the better mean: samples are of unequal length."""
    mean = meta.number("MEAN_VALUE")
    return float(values.mean()) if mean is None else mean
