"""qperf's report: bandwidth and latency of each of its tests."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.latency import UNITS_US, put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount

_TEST = re.compile(r"^((?:tcp|udp|sctp|rds|sdp|rc|uc|ud)_[a-z0-9_]{2,40}):\s*$")
_VALUE = re.compile(rf"^\s+([a-z_]{{1,40}})\s+=\s+({NUMBER})(?: (\S.{{0,20}}?))?\s*$")
_PREFIXES = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9}
_RATE = re.compile(r"([KMG]?)(B|b|bytes|bits|iB)/sec")
_MESSAGES = re.compile(r"([KMG]?)/sec")


class QperfText(Format):
    """One run per test."""

    name = "qperf"
    title = "qperf reports (tcp_lat, tcp_bw, udp_lat ..., with -v or without)"
    one_run = "a test"
    tried = "0.4.10 and 0.4.11"
    unknown = "quantiles: it has one mean latency; the CPU of its processes: its own figures are of the whole host"
    conversions = ("qperf's latency is half a round trip and was doubled", "qperf's KB, MB and GB are powers of ten")
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By a test's name on a line of its own."""
        return any(_TEST.search(line.rstrip("\r")) for line in head.text.split("\n")[:20])

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per test."""
        result: Result | None = None
        for line in lines:
            if match := _TEST.search(line.text):
                if result:
                    yield result
                name = match[1]
                result = Result(name, workload={"kind": "qperf", "mode": name, "protocol": name.partition("_")[0]})
            elif result and (match := _VALUE.search(line.text)) and _take(result, match, note, line):
                line.use()
        if result:
            yield result


def _take(result: Result, match: re.Match[str], note: Note, line: Line) -> bool:
    """One value of a test; whether it has a place."""
    name, value, unit = match[1], amount(match[2]), match[3] or ""
    if value is None:
        return False
    rate = _RATE.fullmatch(unit)
    if name == "latency" and (scale := {**UNITS_US, "sec": 1e6}.get(unit)):
        put_latencies(result, {"mean": value * scale}, "half-rtt", None)
    elif name in ("bw", "recv_bw") and rate:
        bits = 8.0 if rate[2] in ("B", "bytes") else 1.0
        result.metrics["throughput_bps"] = value * _PREFIXES[rate[1]] * bits
        result.environment["measured_by"] = "receiver"
    elif name == "msg_rate" and (messages := _MESSAGES.fullmatch(unit)):
        result.metrics["messages_pps"] = value * _PREFIXES[messages[1]]
    elif name == "msg_size":
        size = {"bytes": 1.0, "": 1.0, "KB": 1e3, "KiB": 1024.0, "MB": 1e6, "MiB": 2.0**20}.get(unit)
        if size is None:
            return False
        result.workload["size_bytes"] = value * size
    elif name == "time" and unit == "sec":
        result.workload["duration_s"] = value
    elif name in ("latency", "bw", "recv_bw"):
        note(line.number, f"{name} has the unit {unit!r}, which is not known; left out")
        return False
    else:
        return False
    return True
