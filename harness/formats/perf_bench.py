"""perf bench's text: what two processes, or one, do in a second by pipes, system calls, epoll or futexes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount, count, ratio

_TITLE = re.compile(r"^# Running '?([a-z-]+)/([a-z0-9-]+)'? benchmark")
_DONE = re.compile(rf"^# Executed ({NUMBER}) ")
_TOTAL = re.compile(rf"^ +Total time: ({NUMBER}) \[sec\]")
_EACH = re.compile(rf"^ +{NUMBER} usecs/op")
_RATE = re.compile(rf"^ +({NUMBER}) ops/sec")
_AVERAGED = re.compile(rf"^Averaged ({NUMBER}) operations/sec .*total secs = ({NUMBER})")


class PerfBench(Format):
    """One run per benchmark; a file may hold several."""

    name = "perf-bench"
    title = "perf bench: sched pipe, syscall, epoll, futex hash and others that print operations a second"
    one_run = "a benchmark"
    tried = "perf 6.1"
    unknown = "single times: usecs/op is a second over the rate"
    conversions = ("perf bench counts operations: its usecs/op is one over rate_rps, and no latency of its own",)
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its first line."""
        return any(_TITLE.search(line) for line in head.text.splitlines()[:50])

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per benchmark that states a rate, or what it did in its time."""
        result: Result | None = None
        for line in lines:
            if match := line.search(_TITLE):
                if result is not None:
                    yield _finished(result)
                result = Result(workload={"kind": "perf bench", "mode": f"{match[1]} {match[2]}"})
            elif result is None:
                continue
            elif match := line.search(_DONE):
                result.metrics["requests"] = count(match[1])
            elif match := line.search(_TOTAL):
                result.metrics["elapsed_s"] = amount(match[1])
            elif match := line.search(_RATE):
                # A whole number, whose thousands newer ones group: 250,000.
                result.metrics["rate_rps"] = count(match[1])
            elif match := line.search(_AVERAGED):
                result.metrics |= {"rate_rps": count(match[1]), "elapsed_s": amount(match[2])}
        if result is not None:
            yield _finished(result)


def _finished(result: Result) -> Result:
    metrics = result.metrics
    if metrics.get("rate_rps") is None and metrics.get("requests"):
        metrics["rate_rps"] = ratio(metrics.get("requests"), metrics.get("elapsed_s"))
    return result
