"""fping's JSON lines (-J, since 5.3): round trips of every host it asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from harness.formats.jsontext import Json, objects
from harness.formats.latency import of_values, put_latencies
from harness.formats.model import NOT_USED, Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, plain

_KINDS = ("resp", "summary", "vSum", "intSum")
_SUMMARY = {"min": "rttMin", "mean": "rttAvg", "max": "rttMax"}
_HEADER_BYTES = 8


@dataclass
class _Host:
    """What is known of one host. times: of its replies, in ms; sizes: theirs, with ICMP's header."""

    times: list[float] = field(default_factory=list)
    sent: float | None = None
    received: float | None = None
    lost_percent: float | None = None
    sizes: set[float] = field(default_factory=set)
    summary: dict[str, float | None] = field(default_factory=dict)


class FpingJson(Format):
    """One run per host."""

    name = "fping-json"
    title = "fping -J with -c, -C or -l: replies, lists of times, summaries"
    one_run = "a host"
    tried = "5.5"
    unknown = "interval; quantiles from -c -q alone"
    conversions = ("quantiles of fping are computed from the times or replies it lists, which have three digits",)
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By the one name that every line's object has."""
        return any(head.text.lstrip().startswith(f'{{"{kind}": {{') for kind in _KINDS) and '"host"' in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per host."""
        hosts: dict[str, _Host] = {}
        left: dict[str, None] = {}
        for document in objects(lines, note):
            for kind in document.names():
                _take(kind, document.at(kind), hosts)
            document.unused(lambda _line, text: left.setdefault(text))
        for text in left:
            note(0, text)
        for name, host in hosts.items():
            if host.summary and host.times and len(host.times) == host.received:
                note(0, f"{NOT_USED}rttMin, rttAvg and rttMax of {name}: they are computed anew from all replies")
            yield _result(name, host)


def _take(kind: str, part: Json, hosts: dict[str, _Host]) -> None:
    name = part.text("host")
    if kind not in _KINDS or not name:
        return
    host = hosts.setdefault(name, _Host())
    if kind == "resp" and (time := part.number("rtt")) is not None:
        host.times.append(time)
        host.sizes |= {size for size in [part.number("size")] if size is not None}
    elif kind == "vSum":
        values = part.at("values").items()
        times = [value.number() for value in values]
        host.times = [time for time in times if time is not None]
        host.sent, host.received = float(len(values)), float(len(host.times))
        host.lost_percent = 100 * (1 - host.received / host.sent) if values else None
    elif kind == "summary":
        host.sent, host.received, host.lost_percent = part.number("xmt"), part.number("rcv"), part.number("loss")
        host.summary = {ours: part.number(theirs) for ours, theirs in _SUMMARY.items()}


def _result(name: str, host: _Host) -> Result:
    result = Result(plain(name, 60), workload={"kind": "fping", "protocol": "icmp"})
    if len(host.sizes) == 1 and (size := max(host.sizes)) >= _HEADER_BYTES:
        result.workload["size_bytes"] = size - _HEADER_BYTES
    received = host.received if host.received is not None else float(len(host.times)) or None
    result.metrics |= {"sent": host.sent, "requests": received}
    if host.sent is not None and received is not None:
        result.metrics |= {"lost": max(0.0, host.sent - received), "lost_percent": host.lost_percent}
    whole = bool(host.times) and len(host.times) == received
    known = of_values(np.array(host.times)) if whole else {k: v for k, v in host.summary.items() if v is not None}
    if known:
        put_latencies(result, {key: value and value * 1e3 for key, value in known.items()}, "rtt", received)
    return result
