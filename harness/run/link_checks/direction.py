"""One shaped direction of a link, tried: who sends, who receives, what is declared, and how results are worded."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness.kernel.frames import FrameEnd
from harness.spec.topology import Shape
from harness.store.record import LinkCheck


@dataclass(frozen=True)
class Direction:
    """One direction of a link: who sends, who receives, and what is declared of it."""

    name: str
    shape: Shape
    mtu: int
    sender: FrameEnd
    receiver: FrameEnd

    @property
    def held_s(self) -> float:
        """How long netem may hold a packet, in s."""
        return (self.shape.delay_ns + self.shape.jitter_ns) / 1e9


def row(
    direction: Direction, check: str, declared: str, measured: str, ok: bool | None, tolerance: str = ""
) -> LinkCheck:
    """What was measured of one declared property."""
    reason = f"{direction.name}: {check} {measured} instead of {declared}" if ok is False else ""
    return LinkCheck(direction.name, check, declared, measured, tolerance, ok, reason)


def packets(direction: Direction) -> int:
    """How many packets the receiver's device has counted."""
    return direction.receiver.statistics()["rx_packets"]


def drain(direction: Direction) -> None:
    """Wait until nothing more arrives, so that the workload finds the link's queue empty."""
    pause_s = max(0.002, 3 * 1514 * 8 / (direction.shape.rate_bps or 10**9))
    deadline = time.monotonic() + 2 + direction.held_s
    time.sleep(direction.held_s)
    last = -1
    while (now := packets(direction)) != last and time.monotonic() < deadline:
        last = now
        time.sleep(pause_s)
    direction.receiver.received()
