"""The rate of a shaped direction: a few packets always wait in its queue, and how fast they come out is seen."""

from __future__ import annotations

import time

from harness.fidelity.direction import Direction, Row, packets, row
from harness.shaping import ETHERNET_HEADER, default_burst
from harness.units import format_rate

RATE_SHARE, RATE_PACKETS = 0.05, 2
# How long a rate is watched, and how fast one has to be to be more than this sender can offer.
_WINDOW_NS, _PACKETS, _AT_ONCE = 20_000_000, 100, 64
_AHEAD_NS, _AT_LEAST = 20_000_000, 8
_PATIENCE, _PATIENCE_NS = 3, 100_000_000
FASTEST_BPS = 2_000_000_000
EASY_BPS = 400_000_000
"""Faster than one sender can be sure to offer: another try would only take time."""


def rate_rows(direction: Direction, longer: int) -> list[Row]:
    """Keep some packets waiting, and see how fast they come out."""
    rate = direction.shape.rate_bps or 0
    declared = format_rate(rate)
    if rate > FASTEST_BPS:
        return [row(direction, "rate", declared, "not tried: faster than this check can send", None)]
    size = min(max(rate * _WINDOW_NS // (8 * 10**9 * _PACKETS), 64), direction.mtu + ETHERNET_HEADER)
    each_ns = max(1, size * 8 * 10**9 // rate)
    feed = _Feed(direction, size, each_ns)
    burst = direction.shape.burst_bytes or default_burst(rate, direction.mtu)
    window_ns = longer * max(_WINDOW_NS, _PACKETS * each_ns)
    busy_ns, passed = _busy(feed, window_ns, -(-burst // size))
    if busy_ns < window_ns // 2:
        return [row(direction, "rate", declared, "not known: this host could not keep it loaded", None)]
    measured = passed * size * 8 * 10**9 / busy_ns
    slack = RATE_SHARE * rate + RATE_PACKETS * size * 8 * 10**9 / busy_ns
    return [
        row(direction, "rate", declared, megabits(measured), abs(measured - rate) <= slack, megabits(slack))
    ]


def _busy(feed: _Feed, window_ns: int, burst: int) -> tuple[int, int]:
    """(time, packets that came out in it), over the intervals in which something waited all the time.

    burst: packets that pass at once whenever nothing has waited for a while; they do not count.
    """
    busy_ns = passed = 0
    feed.step()
    before_ns, before, free = feed.at_ns, feed.passed, burst
    until_ns = before_ns + _PATIENCE * window_ns + _PATIENCE_NS
    while busy_ns < window_ns and feed.at_ns < until_ns:
        feed.step()
        came = feed.passed - before
        if feed.found_waiting <= feed.on_the_way:
            # It ran empty while we were away: its allowance has grown again.
            free = burst
        elif free > 0:
            free -= came
        else:
            busy_ns, passed = busy_ns + feed.at_ns - before_ns, passed + came
        before_ns, before = feed.at_ns, feed.passed
    return busy_ns, passed


class _Feed:
    """Sends so that a few packets always wait in the queue, no more: the queue has to run empty again afterwards.

    enough: packets to keep waiting; on_the_way: of them, those that are no longer in the queue but delayed behind it.
    """

    def __init__(self, direction: Direction, size: int, each_ns: int) -> None:
        shape = direction.shape
        self._direction, self._size, self._each_ns = direction, size, each_ns
        self._kept = max(1e-6, 1 - shape.loss)
        self.on_the_way = (shape.delay_ns + shape.jitter_ns) // each_ns
        self.enough = max(_AT_LEAST, _AHEAD_NS // each_ns) + self.on_the_way
        self._base = packets(direction)
        self.sent = self.passed = self.found_waiting = self.at_ns = 0

    def step(self) -> None:
        """Look, and fill up, or wait a moment if there is enough."""
        self.passed, self.at_ns = packets(self._direction) - self._base, time.monotonic_ns()
        self.found_waiting = self.sent - round(self.passed / self._kept)
        short = self.enough - self.found_waiting
        if short > 0:
            self.sent += self._direction.sender.send_many(self._size, min(short, _AT_ONCE))
        else:
            time.sleep(min(1e-3, self.enough * self._each_ns / 4e9))


def megabits(rate_bps: float) -> str:
    """A rate in words."""
    return f"{rate_bps / 1e6:.4g}mbit"
