"""From the course of a link that changes to what has to be changed of its qdiscs, and when. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from harness.spec.link_changes import LinkState
from harness.spec.shape import Shape
from harness.spec.trace_file import FRAME_BYTES, slots_of, unpacked
from harness.topology.qdiscs import Disc, discs_of, pace_of


class DiscChange(NamedTuple):
    """A disc with new options. replaced: one that drops all takes its place; restored: it takes that one's place."""

    disc: Disc
    replaced: bool = False
    restored: bool = False


class TimedChange(NamedTuple):
    """Changes that are due together, at_ns after the beginning of a turn."""

    at_ns: int
    changes: tuple[DiscChange, ...]


def changes_of(shape: Shape, mtu: int | None) -> Iterator[TimedChange]:
    """All changes of one turn, the first at 0; each is of what differs from the one before it."""
    course = shape.course
    before: LinkState | None = None
    known: dict[tuple[LinkState | None, LinkState], tuple[DiscChange, ...]] = {}
    for moment in course.moments if course is not None else ():
        pair = before, moment.state
        if pair not in known:
            known[pair] = tuple(_between(shape, mtu, *pair))
        if known[pair]:
            yield TimedChange(moment.at_ns - _ahead_ns(shape, before), known[pair])
        before = moment.state


def _ahead_ns(shape: Shape, before: LinkState | None) -> int:
    """How long before its time a change is made.

    Of a packet-delivery trace by half the time of a frame: the one that leaves then is to find the new rate, and how
    late either is does not decide which it finds.
    """
    if before is None or not before.rate_bps or not _delivers(shape):
        return 0
    return FRAME_BYTES * 4 * 10**9 // before.rate_bps


def _delivers(shape: Shape) -> bool:
    """Does the direction follow a packet-delivery trace?"""
    return shape.changes is not None and shape.changes.trace_data is not None and _is_delivery(shape.changes.trace_data)


@lru_cache(maxsize=64)
def _is_delivery(trace_data: str) -> bool:
    return bool(slots_of(unpacked(trace_data)))


def undoing(shape: Shape, mtu: int | None) -> TimedChange:
    """What makes a direction what it was before its first change, whatever it is now."""
    start = LinkState(shape.rate_bps, shape.delay_ns, shape.loss)
    queue = [DiscChange(disc, restored=True) for disc in _below(discs_of(shape, mtu))] if _goes_down(shape) else []
    discs = discs_of(shape.at(start), mtu, delays=shape.needs_netem)
    return TimedChange(0, (*queue, *(DiscChange(disc) for disc in discs if disc not in _below(discs))))


def _goes_down(shape: Shape) -> bool:
    return any(state.down for state in shape.states())


def _below(discs: tuple[Disc, ...]) -> tuple[Disc, ...]:
    """The queue of a rate: what is below the disc that holds packets back. netem has its own."""
    pace = pace_of(discs)
    return discs[discs.index(pace) + 1 :] if pace is not None and pace.kind != "netem" else ()


def _between(shape: Shape, mtu: int | None, before: LinkState | None, after: LinkState) -> Iterator[DiscChange]:
    """What makes the one state the other; before: None for one that is not known, and is not down."""
    down = before is not None and before.down
    discs = _discs_at(shape, mtu, after)
    old = () if before is None else _discs_at(shape, mtu, before)
    queue = _below(discs)
    if after.down and not down and queue:
        yield DiscChange(queue[0], replaced=True)
    for disc in discs:
        if disc not in queue and disc not in old:
            yield DiscChange(disc)
    if down and not after.down:
        yield from (DiscChange(disc, restored=True) for disc in _below(discs_of(shape, mtu)))


def _discs_at(shape: Shape, mtu: int | None, state: LinkState) -> tuple[Disc, ...]:
    """The chain in a state. A packet-delivery trace is of whole ms: so much of a timer's lateness is made up for."""
    discs = discs_of(shape.at(state), mtu, delays=shape.needs_netem)
    if not _delivers(shape) or shape.burst_bytes is not None:
        return discs
    burst = {"burst_bytes": max(1, (state.rate_bps or 0) // 8000)}
    return tuple(disc._replace(options=disc.options | burst) if disc.kind == "htb" else disc for disc in discs)
