"""The rate of a shaped direction: some packets are kept waiting in its queue, and what comes out is timed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import NamedTuple

from harness.run.link_checks.direction import Direction, drain, packets, row
from harness.spec.shape import Shape
from harness.store.record import LinkCheck
from harness.topology.qdiscs import ETHERNET_HEADER
from harness.topology.segments import most_segments
from harness.units import format_rate

RATE_SHARE, RATE_PACKETS = 0.05, 2
# Faster than a veth on any of today's hosts.
_FASTEST_BPS = 20_000_000_000
# Up to here every host that is not too busy can keep a link loaded.
EASY_BPS = 400_000_000

_WINDOW_NS, _PACKETS, _AT_ONCE = 20_000_000, 100, 64
_AHEAD_NS, _AT_LEAST = 20_000_000, 8
_PATIENCE, _PATIENCE_NS = 3, 100_000_000
_SMALLEST, _QUEUE_PARTS = 64, 8
# A shaper that holds packets back does so for nearly every one.
_HELD_SHARE = 0.5


class _Rate(NamedTuple):
    """bps: found. packet_bps: what one packet more or less would have changed it by.

    held: the shaping held packets back; else it is this host that let no more through: it was too busy to receive them,
    or to wake the shaper in time.
    """

    bps: float
    packet_bps: float
    held: bool


class _Load(NamedTuple):
    """Packets of `size_bytes` on the wire: how to send some, and how many have arrived."""

    size_bytes: int
    send: Callable[[int], int]
    arrived: Callable[[], float]


def rate_rows(direction: Direction, longer: int) -> list[LinkCheck]:
    """The row of the declared rate; a host that was too slow is not the link's fault. Raises OSError.

    longer: how many times longer than usual to watch.
    """
    rate = direction.shape.rate_bps or 0
    declared = format_rate(rate)
    if rate > _FASTEST_BPS:
        return [row(direction, "rate", declared, "not tried: faster than this check can send", None)]
    once = _measured(direction, longer)
    if once is None:
        return [row(direction, "rate", declared, "not known: this host could not keep it loaded", None)]
    measured, slack = megabits(once.bps), RATE_SHARE * rate + RATE_PACKETS * once.packet_bps
    if abs(once.bps - rate) <= slack:
        return [row(direction, "rate", declared, measured, True, megabits(slack))]
    if once.bps < rate and not (once.held and _again(direction, longer, once)):
        return [row(direction, "rate", declared, f"not known: this host let only {measured} through", None)]
    return [row(direction, "rate", declared, measured, False, megabits(slack))]


def _again(direction: Direction, longer: int, once: _Rate) -> bool:
    """Does a second try yield the same rate? A shaper is as slow again; a busy host hardly is."""
    drain(direction)
    twice = _measured(direction, longer)
    if twice is None:
        return False
    slack = RATE_SHARE * once.bps + RATE_PACKETS * max(once.packet_bps, twice.packet_bps)
    return abs(twice.bps - once.bps) <= slack


def megabits(rate_bps: float) -> str:
    """A measured rate as text, in Mbit/s."""
    return f"{rate_bps / 1e6:.4g}mbit"


def _measured(direction: Direction, longer: int) -> _Rate | None:
    """None where this host could not keep the direction loaded."""
    shape, sender = direction.shape, direction.sender
    burst_bytes = direction.burst_bytes
    with contextlib.ExitStack() as stack:
        load = _load(stack, direction, burst_bytes)
        feed = _Feed(load, shape, direction.room_packets(load.size_bytes))
        window_ns = longer * max(_WINDOW_NS, _PACKETS * feed.each_ns)
        before = sender.throttled()
        busy_ns, passed = _busy(feed, window_ns, -(-burst_bytes // load.size_bytes))
        # netem counts none that it holds back, so that a rate by it is never found too low: that may be the host.
        held = sender.throttled() - before >= _HELD_SHARE * feed.passed
    if busy_ns < window_ns // 2:
        return None
    packet_bps = load.size_bytes * 8e9 / busy_ns
    return _Rate(passed * packet_bps, packet_bps, held)


def _load(stack: contextlib.ExitStack, direction: Direction, burst_bytes: int) -> _Load:
    """Packets of such a size that enough of them pass in the window, and that no clock has to be read too often.

    On a fast link, that is more than a frame: several that the kernel carries as one.
    """
    shape, sender, receiver = direction.shape, direction.sender, direction.receiver
    rate, full = shape.rate_bps or 0, direction.mtu + ETHERNET_HEADER
    size_bytes = rate * _WINDOW_NS // (8 * 10**9 * _PACKETS)
    # Only as many as find room in the queue, several times.
    room = direction.room_bytes
    room = (rate * shape.queue_ns // (8 * 10**9) + burst_bytes if room is None else room) // _QUEUE_PARTS
    count = min(size_bytes, room) // full
    if direction.pace_kind == "tbf":
        # It takes apart what is larger than its bucket, in the sender's time and with a timer for each piece.
        count = min(count, most_segments(shape, direction.discs, direction.mtu) or count)
    if count < 2:
        size = min(max(size_bytes, _SMALLEST), full)
        return _Load(size, lambda number: sender.send_many(size, number), lambda: packets(direction))
    joined = sender.joined(direction.mtu, count)
    stack.callback(joined.close)
    before = receiver.statistics()
    return _Load(joined.bytes_on_wire, joined.send_many, lambda: joined.arrived(before, receiver.statistics()))


class _Feed:
    """Sends so that a few packets always wait in the queue, no more: the queue has to run empty again afterwards.

    room: packets that the queue takes; enough: packets to keep waiting; on_the_way: of them, those that are no longer
    in the queue but delayed behind it. ramp_ns: how long after the first that arrives fewer arrive than leave, since
    the first are those that were delayed least.
    """

    def __init__(self, load: _Load, shape: Shape, room: int | None = None) -> None:
        self._load = load
        self.each_ns = max(1, load.size_bytes * 8 * 10**9 // (shape.rate_bps or 1))
        self._kept = max(1e-6, 1 - shape.loss)
        self.ramp_ns = 2 * shape.jitter_ns
        self.on_the_way = (shape.delay_ns + shape.jitter_ns) // self.each_ns
        # What a short queue has no room for is dropped, and would be waited for.
        waiting = max(2, min(max(_AT_LEAST, _AHEAD_NS // self.each_ns), (room or 2**31) // 2))
        self.enough = waiting + self.on_the_way
        self._base = load.arrived()
        self.sent = self.at_ns = 0
        self.passed = self.found_waiting = 0.0

    def step(self) -> None:
        """Count what has arrived, then send until enough packets wait, or pause where enough do."""
        self.passed, self.at_ns = self._load.arrived() - self._base, time.monotonic_ns()
        self.found_waiting = self.sent - self.passed / self._kept
        short = round(self.enough - self.found_waiting)
        if short > 0:
            self.sent += self._load.send(min(short, _AT_ONCE))
        else:
            time.sleep(min(1e-3, self.enough * self.each_ns / 4e9))


def _busy(feed: _Feed, window_ns: int, burst: float) -> tuple[int, float]:
    """(time, packets that came out in it), over the intervals in which something waited all the time.

    burst: packets that pass at once whenever nothing has waited for a while; they do not count.
    """
    busy_ns, passed = 0, 0.0
    feed.step()
    before_ns, before, free = feed.at_ns, feed.passed, burst
    counts_ns = before_ns
    until_ns = before_ns + _PATIENCE * window_ns + _PATIENCE_NS + feed.ramp_ns
    while busy_ns < window_ns and feed.at_ns < until_ns:
        feed.step()
        came = feed.passed - before
        if feed.found_waiting < feed.on_the_way + 0.5:
            # It ran empty while we were away: its allowance has grown again.
            free = burst
        elif free > 0:
            free, counts_ns = free - came, feed.at_ns + feed.ramp_ns
        elif before_ns >= counts_ns:
            busy_ns, passed = busy_ns + feed.at_ns - before_ns, passed + came
        before_ns, before = feed.at_ns, feed.passed
    return busy_ns, passed
