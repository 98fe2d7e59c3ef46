"""fio's JSON output: rate and latencies of requests to storage, of each job and direction."""

from __future__ import annotations

from collections.abc import Iterator

from harness.formats.jsontext import Json, objects
from harness.formats.latency import level_named, put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount

_DIRECTIONS = ("read", "write", "trim", "mixed")
_TIMES = {"min": "min", "mean": "mean", "sd": "stddev", "max": "max"}


class FioJson(Format):
    """One run per job and direction."""

    name = "fio"
    title = "fio JSON output (--output-format=json, json+)"
    one_run = "a job and direction"
    tried = "3.33 and 3.39"
    unknown = "quantiles of the total latency, unless fio ran with lat_percentiles=1"
    conversions = (
        "fio measures requests to storage: columns io_*, never compared with round trips",
        "fio's latencies are completion latencies (clat), or total ones (lat) where the job has quantiles of these",
    )
    tells_its_end = True
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its version, which comes first."""
        return '"fio version"' in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per job and direction in which anything was done."""
        for document in objects(lines, note):
            for job in document.at("jobs").items():
                for direction in _DIRECTIONS:
                    if job.number(direction, "total_ios"):
                        yield _result(document, job, direction)
            document.unused(note)


def _result(document: Json, job: Json, direction: str) -> Result:
    part = job.at(direction)
    result = Result(f"{job.text('jobname')} {direction}".strip(), workload={"kind": "fio", "mode": direction})
    if version := document.text("fio version"):
        result.environment["program_version"] = version
    runtime, requests, moved = part.number("runtime"), part.number("total_ios"), part.number("bw_bytes")
    result.metrics |= {"requests": requests, "rate_rps": part.number("iops")}
    result.metrics["elapsed_s"] = None if runtime is None else runtime / 1e3
    result.metrics["throughput_bps"] = None if moved is None else 8 * moved
    options = {**_options(document.at("global options")), **_options(job.at("job options"))}
    if (depth := amount(options.get("iodepth", ""))) is not None:
        result.workload["depth"] = depth
    if error := job.number("error"):
        result.doubt(f"fio: the job ended with error {error:g}")
    whole = part.at("lat_ns", "percentile")
    times = part.at("lat_ns") if whole else part.at("clat_ns")
    values = {ours: times.number(theirs) for ours, theirs in _TIMES.items()}
    levels = times.at("percentile")
    for text in levels.names():
        if name := level_named(amount(text)):
            values[name] = levels.number(text)
    known = {name: value / 1e3 for name, value in values.items() if value is not None}
    put_latencies(result, known, "io", requests)
    return result


def _options(part: Json) -> dict[str, str]:
    return {name: part.text(name) for name in part.names() if name == "iodepth"}
