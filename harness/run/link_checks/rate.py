"""The rate of a shaped direction against what is declared; a host that was too slow is not the link's fault."""

from __future__ import annotations

from harness.run.link_checks import feed
from harness.run.link_checks.direction import Direction, drain, row
from harness.store.record import LinkCheck
from harness.units import format_rate

RATE_SHARE, RATE_PACKETS = 0.05, 2


def rate_rows(direction: Direction, longer: int) -> list[LinkCheck]:
    """The row of the declared rate: some packets are kept waiting in the queue, and what comes out is timed."""
    rate = direction.shape.rate_bps or 0
    declared = format_rate(rate)
    if rate > feed.FASTEST_BPS:
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


def _measured(direction: Direction, longer: int) -> feed.Rate | None:
    return feed.measured(direction.sender, direction.receiver, direction.shape, direction.mtu, longer)


def _again(direction: Direction, longer: int, once: feed.Rate) -> bool:
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
