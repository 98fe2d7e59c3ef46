"""What an interrupt takes of the work it interrupts beyond its handler, which is all that the trace shows of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean, quantiles
from typing import NamedTuple

from harness.analysis.tail.trace import Cause, Piece

_MANY, _ALIKE = 5, 0.5
_MOST_NS = 25_000
"""More than this for each interrupt is no way into a handler and back, also where a hypervisor delivers it."""


class _Work(NamedTuple):
    """A server's own work on a request, ns, and how many interrupts came meanwhile."""

    own_ns: int
    interrupts: int


def beyond_handlers(ordinary: Iterable[Sequence[Piece]], slow: Iterable[Sequence[Piece]]) -> int:
    """How much longer the work of slow requests was than that of ordinary ones, ns for each interrupt that came.

    0 where that is not about the same for all of them, or more than an interrupt can take: then it is the work's own.
    """
    usual = list(map(_work, ordinary))
    if not usual:
        return 0
    own_ns, interrupts = mean(work.own_ns for work in usual), mean(work.interrupts for work in usual)
    many = [work for work in map(_work, slow) if work.interrupts >= interrupts + _MANY]
    if len(many) < _MANY:
        return 0
    low, middle, high = quantiles(((work.own_ns - own_ns) / (work.interrupts - interrupts) for work in many), n=4)
    return round(middle) if 0 < middle <= _MOST_NS and high - low <= _ALIKE * middle else 0


def _work(pieces: Sequence[Piece]) -> _Work:
    own = [piece for piece in pieces if piece.segment == "work"]
    return _Work(
        sum(piece.end - piece.begin for piece in own if piece.cause.kind == "work"),
        sum(piece.cause.kind == "irq" for piece in own),
    )


def charged(pieces: Iterable[Piece], ns: int) -> list[Piece]:
    """The same pieces, where so much of the work behind each interrupt is the interrupt's."""
    cut: list[Piece] = []
    by: Cause | None = None
    for piece in pieces:
        if ns and by and piece.segment == "work" and piece.cause.kind == "work":
            until = min(piece.begin + ns, piece.end)
            cut.append(piece._replace(end=until, cause=by._replace(kind="interrupted")))
            piece = piece._replace(begin=until)
        by = piece.cause if piece.cause.kind == "irq" else None
        if piece.end > piece.begin:
            cut.append(piece)
    return cut
