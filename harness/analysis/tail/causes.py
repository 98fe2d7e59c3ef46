"""Why requests were slow: what each had more of than ordinary ones, and how sure that is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from harness.analysis.tail.interrupts import beyond_handlers, charged
from harness.analysis.tail.pieces import SEGMENTS, pieces_of, work_of
from harness.analysis.tail.trace import OWN, Cause, Piece, Request, Trace
from harness.analysis.tail.turns import beside_events

BY_EVENTS, BY_STEAL, INFERRED, UNEXPLAINED = "events", "steal clock", "inferred", "not explained"
GRADES = (BY_EVENTS, BY_STEAL, INFERRED, UNEXPLAINED)
KINDS: dict[str, str] = {
    "behind": BY_EVENTS,
    "irq": BY_EVENTS,
    "softirq": BY_EVENTS,
    "flow": BY_EVENTS,
    "shaper": BY_EVENTS,
    "deferred": BY_EVENTS,
    "work": BY_EVENTS,
    "queued": BY_EVENTS,
    "stopped": BY_EVENTS,
    "blocked": BY_EVENTS,
    "asleep": BY_EVENTS,
    "busy": BY_EVENTS,
    "fault": BY_EVENTS,
    "stolen": BY_STEAL,
    "turn": INFERRED,
    "joined": INFERRED,
    "interrupted": INFERRED,
    "idle": INFERRED,
    "silent": INFERRED,
    "wire": INFERRED,
    "own": UNEXPLAINED,
}
"""Kinds of causes, and what shows them. What is inferred is so from what the events leave out."""
_ORDINARY = (0.4, 0.6)
_MOST_ORDINARY = 1000
_COVERED = 0.9


@dataclass(frozen=True)
class Slow:
    """One slow request: its pieces, and for each cause how much more of it than an ordinary one it had, ns.

    covered: the share of its excess that causes with a name make up.
    """

    request: Request
    pieces: tuple[Piece, ...]
    excess_ns: float
    more: dict[Cause, float]
    cause: Cause
    grade: str
    covered: float

    def latency_ns(self) -> int:
        """From due to received."""
        return self.request.received - self.request.due

    def wait_ns(self) -> float:
        """How much more of its cause than an ordinary request it had, ns."""
        return self.more.get(alike(self.cause), 0.0)

    def segments(self) -> dict[str, int]:
        """How long each segment took, ns; together they are the latency."""
        total: Counter[str] = Counter()
        for piece in self.pieces:
            total[piece.segment] += piece.end - piece.begin
        return {name: total[name] for name in SEGMENTS}


@dataclass(frozen=True)
class Row:
    """One cause of a cell: how many slow requests it held up, by how much (ns), its share of all excess."""

    cause: Cause
    grade: str
    count: int
    median_ns: float
    most_ns: float
    excess_share: float


@dataclass(frozen=True)
class Account:
    """Why the requests of one traced run above a threshold were slow.

    threshold_ns, p50_ns: of its own latencies; ordinary: mean time an ordinary request spends in each segment, ns.
    """

    slow: tuple[Slow, ...]
    rows: tuple[Row, ...]
    threshold_ns: float
    p50_ns: float
    ordinary: dict[str, float]

    def share(self, *grades: str) -> float:
        """The share of slow requests whose cause is known by one of these."""
        return sum(slow.grade in grades for slow in self.slow) / max(1, len(self.slow))


def account(trace: Trace, requests: Sequence[Request], threshold_ns: float) -> Account:
    """Explain the requests that took longer than `threshold_ns`, by those that took about as long as the median."""
    latency = np.array([request.received - request.due for request in requests])
    ways = {index: pieces_of(trace, requests[index]) for index in _ordinary(latency)}
    above = np.flatnonzero(latency > threshold_ns).tolist()
    ways_of_slow = {index: pieces_of(trace, requests[index]) for index in above}
    beyond_ns = beyond_handlers(ways.values(), ways_of_slow.values())
    others = _Others(trace, {request.number: request for request in requests}, beyond_ns)
    usual: Counter[Cause] = Counter()
    segments: Counter[str] = Counter()
    for way in ways.values():
        for piece in charged(way, beyond_ns):
            usual[alike(others.cause(piece.cause))] += piece.end - piece.begin
            segments[piece.segment] += piece.end - piece.begin
    count = max(1, len(ways))
    mean = {cause: ns / count for cause, ns in usual.items()}
    level = float(latency[list(ways)].mean()) if ways else 0.0
    # What a request waited for while the server was busy with another is that one's cause: the eldest come first.
    slow: list[Slow] = []
    for index, way in ways_of_slow.items():
        slow.append(_one(requests[index], charged(way, beyond_ns), mean, level, others))
    return Account(
        tuple(slow),
        tuple(_rows(slow)),
        threshold_ns,
        float(np.median(latency)) if len(latency) else 0.0,
        {name: segments[name] / count for name in SEGMENTS},
    )


def _ordinary(latency: np.ndarray) -> list[int]:
    """Requests about the median, evenly taken."""
    if not len(latency):
        return []
    low, high = np.quantile(latency, _ORDINARY)
    places = np.flatnonzero((latency >= low) & (latency <= high))
    return places[:: max(1, len(places) // _MOST_ORDINARY)].tolist()


def _one(request: Request, way: Sequence[Piece], mean: dict[Cause, float], level: float, others: _Others) -> Slow:
    spent: Counter[Cause] = Counter()
    tasks: defaultdict[Cause, Counter[int]] = defaultdict(Counter)
    for piece in way:
        cause = others.cause(piece.cause)
        spent[alike(cause)] += piece.end - piece.begin
        tasks[alike(cause)][cause.pid] += piece.end - piece.begin
    more = {cause: spent[cause] - mean.get(cause, 0.0) for cause in set(spent) | set(mean)}
    excess = request.received - request.due - level
    named = sum(ns for cause, ns in more.items() if KINDS[cause.kind] != UNEXPLAINED)
    beside = named < _COVERED * excess and others.trace.in_turns
    if beside:
        rare = {cause for cause in more if 2 * more[cause] > spent[cause]}
        for by, ns in beside_events(others.trace, way, rare, more.setdefault(OWN, 0.0)):
            more[alike(by)] = more.get(alike(by), 0.0) + ns
            more[OWN] -= ns
            named += ns
    top = max((cause for cause in more if cause != OWN), key=lambda cause: more[cause], default=OWN)
    grade = INFERRED if beside else KINDS[top.kind]
    covered = named / excess if excess > 0 else 0.0
    if covered < _COVERED:
        top, grade = OWN, UNEXPLAINED
    if tasks[top]:
        top = top._replace(pid=tasks[top].most_common(1)[0][0])
    others.seen[request.number] = top
    return Slow(request, tuple(way), excess, more, top, grade, covered)


def alike(cause: Cause) -> Cause:
    """The cause without the one task that it was: processes of one program come and go."""
    return cause._replace(pid=0)


@dataclass
class _Others:
    """What the requests met that kept the server from one that waited. seen: by their numbers."""

    trace: Trace
    by_number: dict[int, Request]
    beyond_ns: int
    seen: dict[int, Cause] = field(default_factory=dict)

    def cause(self, queued: Cause) -> Cause:
        """What held the server up while it served another request; another cause as it is."""
        if queued.kind != "queued":
            return queued
        number = int(queued.who.removeprefix("request "))
        if number not in self.seen:
            other = self.by_number.get(number)
            times: Counter[Cause] = Counter()
            for piece in charged(work_of(self.trace, other), self.beyond_ns) if other else ():
                times[piece.cause] += piece.end - piece.begin
            self.seen[number] = times.most_common(1)[0][0] if times else queued._replace(who="")
        return self.seen[number] if self.seen[number].kind != "own" else Cause("queued")


def _rows(slow: Sequence[Slow]) -> list[Row]:
    groups: defaultdict[tuple[Cause, str], list[Slow]] = defaultdict(list)
    for one in slow:
        groups[alike(one.cause), one.grade].append(one)
    whole = sum(one.excess_ns for one in slow) or 1.0
    rows = []
    for (cause, grade), members in groups.items():
        waits = [one.wait_ns() for one in members]
        share = sum(one.more.get(cause, 0.0) for one in slow) / whole
        tasks = {one.cause.pid for one in members}
        pid = tasks.pop() if len(tasks) == 1 else 0
        rows.append(Row(cause._replace(pid=pid), grade, len(members), median(waits), max(waits), share))
    return sorted(rows, key=lambda row: (-row.count, -row.excess_share))
