"""Delay and jitter of a shaped direction: single frames, far apart, by the kernel's time stamps."""

from __future__ import annotations

import math
import statistics
import time

from harness.run.link_checks.direction import Direction, readable, row
from harness.store.record import LinkCheck
from harness.units import format_duration

DELAY_SHARE, DELAY_NS = 0.05, 500_000
_FRAMES, _PAUSE_S = 40, 0.0005


def delay_rows(direction: Direction, longer: int) -> list[LinkCheck]:
    """Single frames, far apart: how long each is under way by the kernel's time stamps."""
    shape, times = direction.shape, []
    if not shape.delay_ns:
        return []
    direction.receiver.received()
    for number in range(_FRAMES * longer):
        direction.sender.send(64, number, time.time_ns())
        time.sleep(_PAUSE_S)
    deadline = time.monotonic() + (shape.delay_ns + shape.jitter_ns) / 1e9 + 0.05
    while (left := deadline - time.monotonic()) > 0:
        readable(direction.receiver, left)
        times += [received - sent for _, sent, received in direction.receiver.received()]
        if len(times) == _FRAMES * longer:
            break
    declared = format_duration(shape.delay_ns)
    if len(times) < 5:
        return [row(direction, "delay", declared, "nothing arrived", False)]
    middle, slack = statistics.median(times), DELAY_SHARE * shape.delay_ns + DELAY_NS
    # netem spreads evenly: the median of n is within the jitter over the root of n, three times over to be safe.
    slack += 3 * shape.jitter_ns / math.sqrt(len(times))
    ok = abs(middle - shape.delay_ns) <= slack
    rows = [row(direction, "delay", declared, f"{middle / 1e6:.3g}ms", ok, f"{slack / 1e6:.3g}ms")]
    spread = statistics.pstdev(times) * math.sqrt(3)  # of an even spread: half its width
    if shape.jitter_ns:
        declared, slack = format_duration(shape.jitter_ns), 0.5 * shape.jitter_ns + DELAY_NS
        near = abs(spread - shape.jitter_ns) <= slack
        rows.append(row(direction, "jitter", declared, f"{spread / 1e6:.3g}ms", near, f"{slack / 1e6:.3g}ms"))
    return rows
