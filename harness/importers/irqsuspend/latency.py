"""The load generator's files: mutilate's latencies and rate, and the command lines of the run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats import Line, Note
from harness.formats.text import amount, count
from harness.importers.irqsuspend.names import Parts

# Columns of the "#type" header by their names there. 5th and 10th have no column of ours.
_COLUMNS = {
    "avg": "rtt_mean_us",
    "std": "rtt_sd_us",
    "min": "rtt_min_us",
    "50th": "rtt_p50_us",
    "90th": "rtt_p90_us",
    "95th": "rtt_p95_us",
    "99th": "rtt_p99_us",
}
_HEADER = ("avg", "std", "min", "5th", "10th", "50th", "90th", "95th", "99th")
_QPS = re.compile(r"Total QPS\s*=\s*(\S{1,60})(?: ?\( ?(\S{1,40}) ?/ ?([\d.,]{1,40}) ?s ?\))?")
_LOST = re.compile(r"(Misses|Skipped TXs)\s*=\s*(\S{1,60})")
LOST = {"Misses": "were for keys that the server did not have", "Skipped TXs": "were due and never sent"}
"""Counts of requests that no latency stands for, as mutilate calls them, and what they mean."""

_DURATION = re.compile(r"\s-t\s+(\d{1,9})\s*$")
_TASKSET = re.compile(r"taskset\s+-c\s+([0-9,-]{1,200})")


def mutilate(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """Latencies of the `read` row, the rate, and requests that were lost."""
    header: tuple[str, ...] = _HEADER
    seen = {"read": False, "Total QPS": False}
    for line in lines:
        words = line.text.split()
        if words[:1] == ["#type"]:
            header = tuple(words[1:])
        elif words[:1] == ["read"]:
            seen["read"] = True
            _read_row(line, words[1:], header, parts, note)
        elif match := _QPS.search(line.text):
            seen["Total QPS"] = True
            _rate(line, match, parts, note)
        elif (match := _LOST.match(line.text)) and (number := count(match[2])):
            parts.lost[match[1]] = number
            note(line.number, f"{match[1]}: {number} requests {LOST[match[1]]}")
    for heading, there in seen.items():
        if not there:
            note(0, f"there is no line {heading}: it is not mutilate's output, or cut short")


def _read_row(line: Line, words: list[str], header: tuple[str, ...], parts: Parts, note: Note) -> None:
    if len(words) != len(header):
        note(line.number, f"the read row has {len(words)} numbers and its header {len(header)}")
        # A row cut short may end inside a number: the last one there is not to be trusted.
        words = words[:-1] if len(words) < len(header) else words[: len(header)]
    for name, text in zip(header, words, strict=False):
        value = amount(text)
        if value is None:
            note(line.number, f"{name} is {text[:40]!r}, which is no number")
        elif name in _COLUMNS:
            parts.run.metrics[_COLUMNS[name]] = value


def _rate(line: Line, match: re.Match[str], parts: Parts, note: Note) -> None:
    parts.run.metrics["rate_rps"] = amount(match[1])
    if parts.run.metrics["rate_rps"] is None:
        note(line.number, f"Total QPS is {match[1][:40]!r}, which is no number")
    queries, seconds = count(match[2] or ""), amount(match[3] or "")
    if queries is None or seconds is None:
        note(line.number, "the line does not say how many queries were made in how long")
        return
    parts.queries = float(queries)
    parts.run.metrics |= {"requests": float(queries), "elapsed_s": seconds}


def memcached(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """The command lines: the server's CPU set and how long the run was to be."""
    known = False
    for line in lines:
        if match := _TASKSET.search(line.text):
            parts.server["cpu_set"] = match[1]
            known = True
        if "mutilate" in line.text and (match := _DURATION.search(line.text)):
            parts.run.workload["duration_s"] = float(match[1])
            known = True
    if not known:
        note(0, "it holds none of the campaign's command lines")
