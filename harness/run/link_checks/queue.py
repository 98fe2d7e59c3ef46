"""The queue of a shaped direction, filled: how long the last packet waits that found room, and how many did not."""

from __future__ import annotations

import time
from typing import NamedTuple

from harness.run.link_checks.direction import Direction, drain, row
from harness.run.process import readable
from harness.store.record import LinkCheck
from harness.topology.qdiscs import ETHERNET_HEADER, frame_bytes
from harness.units import format_duration

# Faster than this the check's own sending is no longer much faster than the link.
_FASTEST_BPS, _LONGEST_NS = 200_000_000, 500_000_000
_BEYOND, _TAKEN_AT_ONCE, _SHARE, _FRAMES, _LATE_NS = 12, 32, 0.1, 3, 2_000_000


class _Filled(NamedTuple):
    """wait_ns: of the last frame, from its sending on; sent, came: frames."""

    wait_ns: int
    sent: int
    came: int


def queue_rows(direction: Direction, longer: int) -> list[LinkCheck]:
    """The row of the queue's length, of those that are limited in frames or bytes. Raises OSError."""
    rate_bps, room = direction.shape.rate_bps or 0, direction.room_bytes
    if not rate_bps or room is None or direction.shape.mean_loss or direction.shape.duplicate:
        return []
    size = frame_bytes(direction.mtu)
    frames = room // size
    wait_ns = frames * size * 8 * 10**9 // rate_bps
    declared = f"{format_duration(round(wait_ns, -4))}, {frames} frames"
    if rate_bps > _FASTEST_BPS or wait_ns > _LONGEST_NS:
        return [row(direction, "queue", declared, "not tried: longer or faster than this check can fill", None)]
    filled = _fill(direction, frames + _BEYOND * longer)
    if not filled.came:
        return [row(direction, "queue", declared, "not known: nothing arrived", None)]
    waited = filled.wait_ns - direction.shape.delay_ns
    lost = filled.sent - filled.came
    slack = _SHARE * wait_ns + _FRAMES * size * 8 * 10**9 // rate_bps + _LATE_NS + 2 * direction.shape.jitter_ns
    measured = f"{waited / 1e6:.3g}ms, {lost} of {filled.sent} dropped"
    # A host that was interrupted while it sent has filled nothing: the queue was emptied meanwhile.
    ok = None if waited < wait_ns - slack and not lost else abs(waited - wait_ns) <= slack
    return [row(direction, "queue", declared, measured, ok, f"{slack / 1e6:.3g}ms")]


def _fill(direction: Direction, count: int) -> _Filled:
    """Send so many full frames at once and see them come out."""
    drain(direction)
    size = direction.mtu + ETHERNET_HEADER
    sent, came, wait_ns, latest = 0, 0, 0, -1
    times: list[int] = []

    def take() -> None:
        nonlocal came, wait_ns, latest
        for number, _, received_ns in direction.receiver.received():
            came += 1
            if number < len(times) and number > latest:
                latest, wait_ns = number, received_ns - times[number]

    for number in range(count):
        times.append(time.time_ns())
        # A full queue says so, and goes on to be full: each of these is one dropped.
        direction.sender.send(size, number, times[-1])
        sent += 1
        if sent % _TAKEN_AT_ONCE == 0:
            take()
    deadline = time.monotonic() + direction.held_s + 2 * count * size * 8 / (direction.shape.rate_bps or 1) + 0.1
    quiet_s = direction.held_s + max(0.02, 4 * size * 8 / (direction.shape.rate_bps or 1))
    last = time.monotonic()
    while (now := time.monotonic()) < deadline and now - last < quiet_s:
        readable([direction.receiver.fileno()], quiet_s)
        before = came
        take()
        last = time.monotonic() if came > before else last
    return _Filled(wait_ns, sent, came)
