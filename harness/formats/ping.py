"""ping of iputils, in any language, of BSD and busybox: every reply's round trip, or the summary alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from harness.formats.latency import of_values, put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount

_PING = re.compile(
    r"^PING \S+ .{0,80}?(\d{1,15})(?:\(\d+\) bytes of data| data bytes|\(\d+\) \w+ \w+ \w+\.?$)", re.MULTILINE
)
# iputils translates its words: what stands are the signs between them.
_REPLY = re.compile(rf"seq=\d+.{{0,40}} \w{{1,20}}=({NUMBER}) ms(?P<double> \(DUP!\))?")
_COUNTS = re.compile(
    r"^(\d{1,15}) [^\d,]{1,40}, (\d{1,15}) [^\d,]{1,40}(?:, \+(\d{1,15}) [^\d,]{1,40})?(?:, \+\d{1,15} [^\d,]{1,40})?, "
    rf"{NUMBER} ?%"
)
_LOSS = re.compile(rf"({NUMBER}) ?% [^\d,]{{1,40}}(?:, [^\d,]{{1,20}} (\d{{1,15}}) ?ms)?")
_SUMMARY = re.compile(
    rf"(?:rtt|round-trip) min/avg/max(?:/(?:mdev|stddev))? = ({NUMBER})/({NUMBER})/({NUMBER})(?:/({NUMBER}))? ms"
)


class PingText(Format):
    """One run per PING line."""

    name = "ping"
    title = "ping (iputils): replies and summary, or the summary alone (-q)"
    one_run = "a PING line and what follows"
    tried = "iputils 20221126 and 20240905"
    unknown = "quantiles from the summary alone; the interval"
    conversions = ("quantiles of ping are computed from the replies it lists, which have three digits",)
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its first line or its summary."""
        return bool(_PING.search(head.text) or _SUMMARY.search(head.text))

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per PING line."""
        result, times, values = _fresh(), [], {}  # type: Result, list[float], dict[str, float | None]
        for line in lines:
            if line.text.startswith("PING "):
                if result.has_figures() or times:
                    yield _finished(result, times, values, note)
                result, times, values = _fresh(), [], {}
                if match := line.search(_PING):
                    result.workload["size_bytes"] = float(match[1])
            elif match := line.search(_REPLY):
                # A duplicate is no round trip of its own.
                times += [] if match["double"] else [time for time in [amount(match[1])] if time is not None]
            elif match := line.search(_COUNTS):
                sent, received = float(match[1]), float(match[2])
                result.metrics |= {"sent": sent, "requests": received, "lost": max(0.0, sent - received)}
                result.metrics |= {"duplicates": float(match[3])} if match[3] else {}
                if loss := line.search(_LOSS):
                    result.metrics |= {"lost_percent": amount(loss[1])}
                    result.metrics |= {"elapsed_s": float(loss[2]) / 1e3} if loss[2] else {}
            elif (match := _SUMMARY.search(line.text)) and len(times) != result.metrics.get("requests"):
                # Where every reply is listed, these say more: the summary is of whole us, cut off.
                line.search(_SUMMARY)
                values = {name: amount(match[at] or "") for at, name in enumerate(("min", "mean", "max", "sd"), 1)}
        yield _finished(result, times, values, note)


def _fresh() -> Result:
    return Result(workload={"kind": "ping", "protocol": "icmp"})


def _finished(result: Result, times: list[float], values: dict[str, float | None], note: Note) -> Result:
    received = result.metrics.get("requests")
    whole = times and (received is None or len(times) == received)
    if times and not whole:
        note(0, f"{len(times)} of {received:.0f} replies are listed: quantiles are left blank")
    known = of_values(np.array(times)) if whole else values
    if known:
        in_us = {name: None if value is None else value * 1e3 for name, value in known.items()}
        put_latencies(result, in_us, "rtt", received if received is not None else float(len(times)))
    return result
