"""mutilate's report: latencies of the memcached requests of one run, and their rate."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.latency import put_latencies
from harness.formats.model import NOT_USED, Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount, ratio

_ROW = re.compile(r"(read|update)((?:\s+\S{1,40}){1,20})\s*")
_QPS = re.compile(rf"Total QPS\s*=\s*({NUMBER})(?:\s*\(\s*(\d{{1,18}})\s*/\s*({NUMBER})s\s*\))?")
_LOST = re.compile(rf"(Misses|Skipped TXs)\s*=\s*(\d{{1,18}})(?:\s*\(({NUMBER})%\))?")
_HEADER = ("avg", "std", "min", "5th", "10th", "50th", "90th", "95th", "99th")
_NAMES = {"avg": "mean", "std": "sd", "min": "min", "50th": "p50", "90th": "p90", "95th": "p95", "99th": "p99"}

MAX_LOST_SHARE = 0.001
"""Suspect beyond this share of the requests: those that found no key, or were due and never sent."""


class MutilateReport(Format):
    """One run per report."""

    name = "mutilate"
    title = "mutilate's report on its standard output"
    tried = "leverich/mutilate (git d65c6ef)"
    unknown = "the rate that was asked for, connections, threads and sizes: they are on its command line alone"
    conversions = ("latencies are mutilate's `read` row: request sent to reply received, the whole round trip",)
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By the header of its table, or its rate."""
        return head.text.lstrip().startswith("#type") or bool(_QPS.search(head.text))

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result."""
        result = Result(workload={"kind": "memcached", "protocol": "tcp"})
        header, values = _HEADER, {}  # type: tuple[str, ...], dict[str, float | None]
        lost: dict[str, float] = {}
        for line in lines:
            words = line.text.split()
            if words[:1] == ["#type"]:
                header = tuple(words[1:])
                line.use()
            elif (match := _ROW.fullmatch(line.text)) and match[1] == "read":
                line.use()
                values = _row(line, words[1:], header, note)
            elif match := line.search(_QPS):
                result.metrics["rate_rps"] = amount(match[1])
                if match[2]:
                    result.metrics |= {"requests": float(match[2]), "elapsed_s": amount(match[3])}
            elif match := line.search(_LOST):
                lost[match[1]] = float(match[2])
        if values:
            put_latencies(result, values, "rtt", result.metrics.get("requests"))
        _judge(result, lost)
        yield result


def _row(line: Line, words: list[str], header: tuple[str, ...], note: Note) -> dict[str, float | None]:
    if len(words) != len(header):
        note(line.number, f"the read row has {len(words)} numbers and its header {len(header)}; it is left out")
        return {}
    unused = [f"{name} {text}" for name, text in zip(header, words, strict=True) if name not in _NAMES]
    if unused:
        note(line.number, f"{NOT_USED}{', '.join(unused)} of the read row")
    return {_NAMES[name]: amount(text) for name, text in zip(header, words, strict=True) if name in _NAMES}


def _judge(result: Result, lost: dict[str, float]) -> None:
    """Misses are answers without a value; what was skipped was due and never sent."""
    requests = result.metrics.get("requests")
    if "Misses" in lost:
        result.metrics["errors"] = lost["Misses"]
    if "Skipped TXs" in lost:
        result.metrics["missed"] = lost["Skipped TXs"]
    for name, number in lost.items():
        share = ratio(number, requests)
        if number and (share is None or share > MAX_LOST_SHARE):
            result.doubt(f"mutilate: {name} {number:,.0f}{f' of {requests:,.0f} requests' if requests else ''}")
