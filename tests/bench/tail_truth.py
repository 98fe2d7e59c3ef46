"""Which requests `study_tail` did something to, by what the injectors say: never by the trace that is judged.

A request counts as met where what was done to it makes up two thirds of what it took beyond the median.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.analysis.tail.causes import Account
from harness.analysis.tail.trace import Request

Did = Callable[[Sequence[Request], Path], Iterator[float]]
"""Of each slow request of a run, ns that the injector held it up; its log lies in the directory."""
LOG = "injector.json"
_NS_PER_MS = 1_000_000


def met(did: Did, made: Account, place: Path) -> set[int]:
    """The numbers of the slow requests of whose excess two thirds or more are what was done to them."""
    requests = [slow.request for slow in made.slow]
    pairs = zip(requests, did(requests, place), strict=True)
    return {one.number for one, ns in pairs if ns >= (one.received - one.due - made.p50_ns) * 2 / 3}


def every(period_ms: int, length_ms: float, phase_ns: int | None = None) -> Did:
    """In stretches of a period. phase_ns: when they begin; without it the one at which most slow requests end.

    A hog's period begins when the hog does.
    """
    period, length = period_ms * _NS_PER_MS, round(length_ms * _NS_PER_MS)

    def did(requests: Sequence[Request], _place: Path) -> Iterator[float]:
        begin = _phase(requests, period, length) if phase_ns is None else phase_ns
        for one in requests:
            first = one.due - (one.due - begin) % period
            stretches = range(first, one.received, period)
            yield sum(_shared(one, stretch, stretch + length) for stretch in stretches)

    return did


def _phase(requests: Sequence[Request], period: int, length: int) -> int:
    """When most of the stretches that slow requests met began: such a request ends soon after its stretch."""
    ends = sorted(one.received % period for one in requests)
    round_again = [*ends, *(end + period for end in ends)]
    within = [bisect_left(round_again, end + _NS_PER_MS // 2) - place for place, end in enumerate(ends)]
    return ends[within.index(max(within))] - length if ends else 0


def logged(requests: Sequence[Request], place: Path) -> Iterator[float]:
    """In the stretches that the injector wrote down, each [begin, end] in ns of the monotonic clock."""
    stretches = json.loads((place / LOG).read_text())
    for one in requests:
        yield sum(_shared(one, begin, end) for begin, end in stretches)


def counted(ns: int) -> Did:
    """At the moments that the injector wrote down, while the server worked on the request: so long each, ns."""

    def did(requests: Sequence[Request], place: Path) -> Iterator[float]:
        moments = json.loads((place / LOG).read_text())
        for one in requests:
            yield ns * (bisect_left(moments, one.answered) - bisect_left(moments, one.taken))

    return did


def ranked(burst: int, ns: int) -> Did:
    """A queue of a burst of packets that were due at once: each waits so long, ns, for each before it.

    That is more than the median waits, half the burst. The last of a burst are the slow ones.
    """

    def did(requests: Sequence[Request], _place: Path) -> Iterator[float]:
        after = Counter(one.due for one in requests)
        for one in requests:
            after[one.due] -= 1
            yield ns * (burst / 2 - 1 - after[one.due])

    return did


def at_most(ms: float) -> Did:
    """To all of them, and none is held up for longer: what took longer, or was sent late, met more than this."""

    def did(requests: Sequence[Request], _place: Path) -> Iterator[float]:
        for one in requests:
            took = one.received - one.due
            yield took if took <= ms * _NS_PER_MS and one.sent - one.due <= took / 20 else 0

    return did


def flooded(length_ms: float) -> Did:
    """In the bursts of the workload beside, which begin as it says; they last so long."""

    def did(requests: Sequence[Request], place: Path) -> Iterator[float]:
        (report,) = place.rglob("background1-client.stdout.jsonl")
        (told,) = (event for line in report.read_text().splitlines() if (event := json.loads(line)).get("start_ns"))
        period_ms = 1000 * told["burst"] / told["offered_rps"]
        return every(round(period_ms), length_ms, told["start_ns"])(requests, place)

    return did


def _shared(one: Request, begin: int, end: int) -> int:
    return max(0, min(one.received, end) - max(one.due, begin))
