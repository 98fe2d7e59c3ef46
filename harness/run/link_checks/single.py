"""Packets of a shaped direction that travel alone: is each held back for its own time on the wire?"""

from __future__ import annotations

import statistics
import time

from harness.run.link_checks.direction import Direction, row
from harness.run.process import readable
from harness.store.record import LinkCheck
from harness.topology.qdiscs import NETEM_MOST_BPS, frame_bytes

_FRAMES, _PATIENCE_S = 3, 0.25
_EARLY_SHARE, _EARLY_NS, _LATE_NS, _SPREAD = 0.05, 20_000, 250_000, 3


def single_rows(direction: Direction, longer: int) -> list[LinkCheck]:
    """The row of a full frame that finds the link idle, where its time on the wire is more than a timer's lateness.

    A frame that comes too early has not been held back; one that comes too late was kept by a busy host. A bucket lets
    it pass at once, which is no breach of what it promises, and is said. Raises OSError.
    """
    rate_bps, shape = direction.shape.rate_bps or 0, direction.shape
    if not 0 < rate_bps <= NETEM_MOST_BPS or shape.loss > 0.5:
        return []
    size = frame_bytes(direction.mtu)
    serial_ns = size * 8 * 10**9 // rate_bps
    if _SPREAD * shape.jitter_ns > serial_ns:
        # What the jitter adds or takes is more than what is looked for.
        return []
    times = [passed for number in range(_FRAMES * longer) if (passed := _passed(direction, size, number)) is not None]
    declared = f"{in_us(serial_ns)} a full frame"
    if not times:
        return [row(direction, "single", declared, "not known: nothing arrived", None)]
    own_ns = statistics.median(times) - shape.delay_ns
    spread_ns = _SPREAD * shape.jitter_ns
    early_ns = _EARLY_SHARE * serial_ns + _EARLY_NS + spread_ns
    measured = in_us(own_ns)
    if direction.pace_kind != "netem":
        if own_ns < serial_ns - early_ns:
            measured += f": {direction.pace_kind} lets a packet that finds the link idle pass at once"
        return [row(direction, "single", declared, measured, None)]
    if own_ns > serial_ns * (1 + _EARLY_SHARE) + _LATE_NS + spread_ns:
        return [row(direction, "single", declared, f"not known: this host let it through after {measured}", None)]
    return [row(direction, "single", declared, measured, own_ns >= serial_ns - early_ns, in_us(early_ns))]


def in_us(time_ns: float) -> str:
    """A measured time as text."""
    return f"{time_ns / 1e3:.4g}us"


def _passed(direction: Direction, size: int, number: int) -> int | None:
    """How long one frame was under way, in ns; None where it did not arrive. The link is idle again afterwards."""
    direction.receiver.received()
    serial_s = size * 8 / (direction.shape.rate_bps or 1)
    if not direction.sender.send(size, number, time.time_ns()):
        return None
    deadline = time.monotonic() + direction.held_s + 2 * serial_s + _PATIENCE_S
    while (left := deadline - time.monotonic()) > 0:
        readable([direction.receiver.fileno()], left)
        for came, sent_ns, received_ns in direction.receiver.received():
            if came == number:
                # A bucket that was emptied is full again after as long as it takes to send the frame.
                time.sleep(max(serial_s, 0.001))
                return received_ns - sent_ns
    return None
