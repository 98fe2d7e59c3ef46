"""From the course of a link that changes to what has to be changed of its qdiscs, and when. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from harness.spec.link_changes import LinkState
from harness.spec.shape import Shape
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
            yield TimedChange(moment.at_ns, known[pair])
        before = moment.state


def undoing(shape: Shape, mtu: int | None) -> TimedChange:
    """What makes a direction what it was before its first change, whatever it is now."""
    start = LinkState(shape.rate_bps, shape.delay_ns, shape.loss)
    queue = [DiscChange(disc, restored=True) for disc in _below(discs_of(shape, mtu))] if _goes_down(shape) else []
    return TimedChange(0, (*queue, *_between(shape, mtu, None, start)))


def _goes_down(shape: Shape) -> bool:
    return any(state.down for state in shape.states())


def _below(discs: tuple[Disc, ...]) -> tuple[Disc, ...]:
    """The queue of a rate: what is below the disc that holds packets back. netem has its own."""
    pace = pace_of(discs)
    return discs[discs.index(pace) + 1 :] if pace is not None and pace.kind != "netem" else ()


def _between(shape: Shape, mtu: int | None, before: LinkState | None, after: LinkState) -> Iterator[DiscChange]:
    """What makes the one state the other; before: None for one that is not known, and is not down."""
    down = before is not None and before.down
    delays = shape.needs_netem
    discs = discs_of(shape.at(after), mtu, delays=delays)
    old = () if before is None else discs_of(shape.at(before), mtu, delays=delays)
    queue = _below(discs)
    if after.down and not down and queue:
        yield DiscChange(queue[0], replaced=True)
    for disc in discs:
        if disc not in queue and disc not in old:
            yield DiscChange(disc)
    if down and not after.down:
        yield from (DiscChange(disc, restored=True) for disc in _below(discs_of(shape, mtu)))
