"""Counters around a run: perf, interrupts and packets, TCP, memcached's own, and histograms of polls and epolls."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats import Line, Note
from harness.formats.text import amount, count, ratio
from harness.importers.irqsuspend.names import Parts

_PERF = re.compile(r"\s*(\d[\d.,'’\u00a0\u202f ]{0,30}?|<not [a-z ]{1,20}>)\s{2,}([A-Za-z_.:/-]{1,60})")
_WINDOW = re.compile(r"\s*([\d.,]+)\s+seconds time elapsed")
_EVENTS = {"cycles": "cycles_count", "instructions": "instructions_count"}
_TOTAL = re.compile(r"total\s+(\d+)\s+(\d+)\s+(\d+)\s*$")
_TCP = re.compile(r"([^:]{1,100}): sent\s+(\d+) \| retrans\s+(\d+) \| timeout\s+(\d+)")
_STAT = re.compile(r"STAT (\w{1,40}) (\S{1,40})\s*$")
_STATS = {
    "rusage_user": "memcached_user_s",
    "rusage_system": "memcached_system_s",
    "conn_yields": "memcached_yields_count",
    "get_misses": "memcached_misses_count",
}
_POLL = re.compile(r"@\[(\d{1,9})\]:\s*(\d{1,18})\s*$")
_EPOLL = re.compile(r"\{.*\bret:\s*(-?\d{1,9})\s*\}\s*hitcount:\s*(\d{1,18})\s*$")


def perf(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """Cycles and instructions of the CPU set, and for how long they were counted."""
    for line in lines:
        if match := _WINDOW.match(line.text):
            parts.server["perf_window_s"] = amount(match[1])
        elif (match := _PERF.match(line.text)) and (name := _EVENTS.get(match[2].partition(":")[0])):
            parts.server[name] = count(match[1].strip())
            if parts.server[name] is None:
                note(line.number, f"{match[2]} is {match[1].strip()[:40]!r}, which is no count")
    missing = [name for name in (*_EVENTS.values(), "perf_window_s") if parts.server.get(name) is None]
    if missing:
        note(0, f"it does not give {' or '.join(missing)}; cost per query stays blank")


def irq(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """Interrupts and packets of the server's NIC during the run, from the line of totals."""
    total = None
    for line in lines:
        total = _TOTAL.match(line.text) or total
    if total is None:
        note(0, "there is no line of totals")
        return
    names = ("interrupts_count", "rx_packets_count", "tx_packets_count")
    parts.server |= {name: count(text) for name, text in zip(names, total.groups(), strict=True)}


def tcp(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """Segments sent, sent again, and time-outs, over all clients."""
    sums = [0, 0, 0]
    hosts = 0
    for line in lines:
        if match := _TCP.match(line.text):
            hosts += 1
            sums = [total + (count(text) or 0) for total, text in zip(sums, match.groups()[1:], strict=True)]
        elif line.text.strip():
            note(line.number, "the line is not HOST: sent N | retrans N | timeout N")
    if not hosts:
        note(0, "it counts no client")
        return
    names = ("sent_segments_count", "retransmits", "timeouts_count")
    parts.clients |= dict(zip(names, sums, strict=True))
    parts.run.metrics["retransmits"] = float(sums[1])


def stats(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """The server's own account: CPU time, yields, misses (whole life of the process, not of the run)."""
    seen = False
    for line in lines:
        if match := _STAT.match(line.text):
            seen = True
            if name := _STATS.get(match[1]):
                parts.server[name] = amount(match[2])
    if not seen:
        note(0, "it holds no STAT line")


def poll(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """Mean packets per NAPI poll."""
    _mean(lines, _POLL, "napi_poll_mean_packets", parts, note)


def epoll(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """Mean events per epoll_wait that returned."""
    _mean(lines, _EPOLL, "epoll_mean_events", parts, note)


def _mean(lines: Iterator[Line], pattern: re.Pattern[str], name: str, parts: Parts, note: Note) -> None:
    total = weight = 0
    for line in lines:
        if match := pattern.match(line.text):
            total += int(match[1]) * int(match[2])
            weight += int(match[2])
    parts.server[name] = ratio(float(total), float(weight))
    if not weight:
        note(0, "its histogram is empty")
