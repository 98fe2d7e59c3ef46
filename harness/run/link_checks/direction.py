"""One shaped direction of a link, tried: who sends, who receives, what is declared, and how results are worded."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness.kernel.frames import FrameEnd
from harness.spec.shape import Shape
from harness.store.record import LinkCheck
from harness.topology.qdiscs import Disc, frame_bytes, free_bytes, pace_of, room_of


@dataclass(frozen=True)
class Direction:
    """One direction of a link: who sends, who receives, and what is declared of it.

    discs: what does it.
    """

    name: str
    shape: Shape
    mtu: int
    sender: FrameEnd
    receiver: FrameEnd
    discs: tuple[Disc, ...] = ()

    @property
    def pace_kind(self) -> str:
        """The kind of the qdisc that holds packets back to the rate; "" for none."""
        pace = pace_of(self.discs)
        return pace.kind if pace is not None else ""

    @property
    def burst_bytes(self) -> int:
        """What may pass at once after a pause."""
        return free_bytes(self.discs, self.mtu)

    @property
    def room_bytes(self) -> int | None:
        """What may wait for the rate, in full frames where the queue counts those; None where nobody limits it."""
        return room_of(self.discs, self.mtu)

    def room_packets(self, size_bytes: int) -> int | None:
        """How many packets of a size may wait for the rate; None where nobody limits it."""
        room = self.room_bytes
        counts = any(disc.kind in ("pfifo", "netem") for disc in self.discs[-1:])
        return None if room is None else room // (frame_bytes(self.mtu) if counts else max(size_bytes, 1))

    @property
    def held_s(self) -> float:
        """How long netem may hold a packet, in s."""
        return self.shape.held_ns / 1e9


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
