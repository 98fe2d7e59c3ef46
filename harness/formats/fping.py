"""fping's summaries (-c, -C, -l): round trips of every host it asked."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from harness.formats.latency import of_values, put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount, plain

_SUMMARY = re.compile(
    rf"^(\S{{1,255}})\s+: xmt/rcv/%loss = (\d{{1,15}})/(\d{{1,15}})/({NUMBER})%"
    rf"(?:, min/avg/max = ({NUMBER})/({NUMBER})/({NUMBER}))?"
)
_COUNTS = re.compile(rf"^(\S{{1,255}})\s+: xmt/rcv/%loss = (\d{{1,15}})/(\d{{1,15}})/({NUMBER})%")
_ALL = re.compile(rf"^(\S{{1,255}})\s+:((?: (?:{NUMBER}|-)){{1,100000}})\s*$")
_REPLY = re.compile(rf"^(\S{{1,255}})\s+: \[\d+\], \d+ bytes, ({NUMBER}) ms ")


class FpingText(Format):
    """One run per host."""

    name = "fping"
    title = "fping -c and -C: summary lines, lists of times, replies"
    one_run = "a host"
    tried = "5.1 and 5.5"
    unknown = "size and interval; quantiles from -c -q alone"
    conversions = ("quantiles of fping are computed from the times or replies it lists, which have three digits",)
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its summary, or a reply."""
        lines = head.text.split("\n")
        return any(_SUMMARY.search(line) or _REPLY.search(line) or _ALL.search(line) for line in lines[:20])

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per host."""
        results: dict[str, Result] = {}
        replies: dict[str, list[float]] = {}
        means: dict[str, dict[str, float | None]] = {}
        for line in lines:
            if match := _SUMMARY.search(line.text):
                result = _of(results, match[1])
                # Where every reply is listed, the times of the summary are theirs, with fewer digits.
                line.search(_COUNTS if len(replies.get(match[1], [])) == float(match[3]) else _SUMMARY)
                sent, received = float(match[2]), float(match[3])
                result.metrics |= {"sent": sent, "requests": received, "lost": max(0.0, sent - received)}
                result.metrics["lost_percent"] = amount(match[4])
                if match[5]:
                    means[match[1]] = {"min": amount(match[5]), "mean": amount(match[6]), "max": amount(match[7])}
            elif match := line.search(_REPLY):
                _of(results, match[1])
                replies.setdefault(match[1], []).append(amount(match[2]) or 0.0)
            elif match := _ALL.search(line.text):
                line.use()
                times = [time for text in match[2].split() if (time := amount(text)) is not None]
                result = _of(results, match[1])
                sent = float(len(match[2].split()))
                result.metrics |= {"sent": sent, "requests": float(len(times)), "lost": sent - len(times)}
                replies[match[1]] = times
        for host, result in results.items():
            _finish(result, replies.get(host, []), means.get(host, {}))
            yield result


def _of(results: dict[str, Result], host: str) -> Result:
    return results.setdefault(host, Result(plain(host, 60), workload={"kind": "fping", "protocol": "icmp"}))


def _finish(result: Result, times: list[float], summary: dict[str, float | None]) -> None:
    received = result.metrics.get("requests")
    if times and received is None:
        received = result.metrics["requests"] = float(len(times))
    known = of_values(np.array(times)) if times and len(times) == received else summary
    if known:
        put_latencies(result, {name: value and value * 1e3 for name, value in known.items()}, "rtt", received)
