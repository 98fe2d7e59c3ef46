"""Model time: the CPUs of such a guest take turns, so what one of them does is time in which the others stand still."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from itertools import groupby

from harness.analysis.tail.flows import interrupted
from harness.analysis.tail.trace import OWN, Cause, Piece, Request, Trace

_UNKNOWN = ("own", "idle", "wire", "work", "busy")
"""Causes of a stretch in which the CPU concerned shows nothing: another's turn says more."""
_TURN_NS = 15_000
"""A task that ran for longer than this between two events may have let another CPU have its turn meanwhile."""
_BESIDE_NS = 5_000
"""An interrupt takes at most so long beside its events: under 6.12 its way in and out is 1.3 us, an idle CPU's way back
to idle 2.2 more, and who polled misses a turn meanwhile."""
_OF_SERVER = ("work", *(f"request_{part}" for part in ("wakeup", "runqueue", "receive")))
_OF_SERVER += tuple(f"reply_{part}" for part in ("send", "softirq", "napi"))


def by_turns(trace: Trace, request: Request, pieces: Sequence[Piece]) -> Iterator[Piece]:
    """The same pieces, where what another CPU did is the cause of what nothing on the CPU itself shows."""
    for piece in pieces:
        if piece.cause.kind not in _UNKNOWN or piece.end <= piece.begin:
            yield piece
            continue
        task = trace.task(request.server if piece.segment in _OF_SERVER else request.client)
        _, _, state = next(task.spans(piece.begin, piece.end))
        yield from _cut(trace, piece, piece.cause.cpu if piece.cause.cpu >= 0 else state.cpu)


def _cut(trace: Trace, piece: Piece, cpu: int) -> Iterator[Piece]:
    for begin, end, other in _elsewhere(trace, piece, cpu):
        cause = _doing(trace, begin, end, other)
        begin, end = max(begin, piece.begin), min(end, piece.end)
        if cause is not None:
            if begin > piece.begin:
                yield piece._replace(end=begin)
            yield piece._replace(begin=begin, end=end, cause=cause)
            piece = piece._replace(begin=end)
    if piece.end > piece.begin:
        yield piece


def _elsewhere(trace: Trace, piece: Piece, cpu: int) -> Iterator[tuple[int, int, int]]:
    """The stretches between two events of another CPU with none of any other between them: it had the turn."""
    times, cpus = trace.order
    place = max(0, bisect_right(times, piece.begin) - 1)
    while place + 1 < len(times) and times[place] < piece.end:
        begin, end = times[place : place + 2]
        if cpus[place] == cpus[place + 1] != cpu and cpus[place] in trace.cpus and end > max(begin, piece.begin):
            yield begin, end, cpus[place]
        place += 1


def _doing(trace: Trace, begin: int, end: int, cpu: int) -> Cause | None:
    """What the CPU whose turn it was did; None where that was nothing, or is not sure to have taken so long."""
    doing, _ = trace.cpus[cpu].at(begin)
    if doing.what in ("irq", "softirq"):
        return interrupted(trace, doing, cpu, end)
    if doing.what == "task" and doing.task > 0 and end - begin <= _TURN_NS:
        # The other end's, on its way to sleep or polling, belongs to the way of the request.
        return OWN if doing.task in trace.tasks else Cause("turn", trace.name(doing.task), doing.task, cpu)
    return None


def beside_events(
    trace: Trace, pieces: Sequence[Piece], rare: Container[Cause], unnamed_ns: float
) -> Iterator[tuple[Cause, float]]:
    """What may have taken so much of a way that has no name, without events of its own, and how much each did, ns.

    Interrupts, those that ordinary requests do not meet: their way in and out, an idle CPU's way back to idle, a turn
    that a poller missed. Then turns of other CPUs on which a program of somebody else ran all the while.
    """
    causes = (cause for cause, _ in groupby(piece.cause for piece in pieces))
    met = Counter(cause for cause in causes if cause.kind == "irq" and cause in rare)
    most = {cause: float(count * _BESIDE_NS) for cause, count in met.items()}
    for piece in (piece for piece in pieces if piece.cause == OWN):
        for number, cpu in trace.cpus.items():
            for begin, end, doing in cpu.spans(piece.begin, piece.end):
                if doing.what == "task" and doing.task > 0 and doing.task not in trace.tasks:
                    turn = Cause("turn", trace.name(doing.task), doing.task, number)
                    most[turn] = most.get(turn, 0.0) + end - begin
    for cause, ns in most.items():
        taken = max(0.0, min(unnamed_ns, ns))
        unnamed_ns -= taken
        yield cause, taken
