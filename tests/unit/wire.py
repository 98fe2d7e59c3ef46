"""A made-up direction of a link, with a clock of its own: what it does to frames is known, and no time passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self

# What the receiving end of a made-up wire is told by.
FILENO = 77


class Clock:
    """Time that passes where somebody sleeps, and a little at every look."""

    def __init__(self) -> None:
        self.now_ns = 10**15

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)

    def monotonic_ns(self) -> int:
        self.now_ns += 2000
        return self.now_ns

    time_ns = monotonic_ns

    def monotonic(self) -> float:
        return self.monotonic_ns() / 1e9


@dataclass
class Wire:
    """One direction of a link as it really is; both of its ends are this object.

    lost, twice, early, hurt: every how many-th frame is lost, comes twice, does not wait for the delay, is damaged; of
    lost frames `in_a_row` follow each other. slot_ns: frames arrive only at multiples of it. room: packets that
    find a place in the queue; rests: whether the shaper says that it held packets back.
    """

    clock: Clock
    rate_bps: float = 0.0
    burst_bytes: int = 0
    delay_ns: int = 0
    jitter_ns: int = 0
    lost: int = 0
    twice: int = 0
    early: int = 0
    hurt: int = 0
    in_a_row: int = 1
    slot_ns: int = 0
    room: int = 10**6
    rests: bool = True
    held: int = 0
    sent: int = 0
    damaged: int = 0
    free_ns: float = 0.0
    arrivals: list[tuple[float, int, int]] = field(default_factory=list)
    taken: list[tuple[float, int, int]] = field(default_factory=list)

    def send(self, size_bytes: int, number: int = 0, at_ns: int = 0) -> bool:
        return self.send_many(size_bytes, 1, number, at_ns) == 1

    def send_many(self, size_bytes: int, count: int, number: int = 0, at_ns: int = 0) -> int:
        for done in range(count):
            if not self._put(size_bytes, number, at_ns):
                return done
        return count

    def _put(self, size_bytes: int, number: int, at_ns: int) -> bool:
        now = self.clock.now_ns
        leaves = now
        if self.rate_bps:
            each = 8e9 * size_bytes / self.rate_bps
            if self.free_ns - now > self.room * each:
                return False
            self.free_ns = max(self.free_ns, now - 8e9 * self.burst_bytes / self.rate_bps) + each
            leaves = max(now, round(self.free_ns))
            self.held += self.rests and leaves > now
        self.sent += 1
        if self.lost and self.sent % self.lost < self.in_a_row:
            return True
        if self.hurt and self.sent % self.hurt == 0:
            self.damaged += 1
            return True
        jitter = self.jitter_ns * ((self.sent * 7 % 20) / 10 - 0.95)
        wait = 0 if self.early and self.sent % self.early == 0 else self.delay_ns + jitter
        for _ in range(2 if self.twice and self.sent % self.twice == 0 else 1):
            at = leaves + wait
            self.arrivals.append((at + -at % self.slot_ns if self.slot_ns else at, number, at_ns))
        return True

    def throttled(self) -> int:
        return self.held

    def statistics(self) -> dict[str, int]:
        here = sum(at <= self.clock.now_ns for at, _, _ in self.arrivals)
        return {"rx_packets": here + len(self.taken), "rx_bytes": 0}

    def fileno(self) -> int:
        return FILENO

    def received(self) -> list[tuple[int, int, int]]:
        new = sorted(frame for frame in self.arrivals if frame[0] <= self.clock.now_ns)
        self.arrivals = [frame for frame in self.arrivals if frame[0] > self.clock.now_ns]
        self.taken += new
        return [(number, sent, round(at)) for at, number, sent in new]

    def joined(self, mtu: int, count: int) -> Any:
        size = count * (mtu + 14)
        return SimpleNamespace(
            bytes_on_wire=size,
            send_many=lambda number: self.send_many(size, number),
            arrived=lambda before, now: float(now["rx_packets"] - before["rx_packets"]),
            close=lambda: None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass
