"""Does every shaped link do what it declares? Tried with frames of our own before anything is measured."""

from __future__ import annotations

import math
import select
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from harness import linkrate
from harness.evidence import Outcome
from harness.kernel.frames import FrameEnd
from harness.layout import Layout, PortLayout
from harness.probes import Difference
from harness.shaping import DEFAULT_MTU, default_burst
from harness.spec.topology import Shape
from harness.testbed import Testbed
from harness.units import format_duration, format_percent, format_rate

# Tolerances, as docs/topologies.md tells them.
RATE_SHARE, RATE_PACKETS = 0.05, 2
DELAY_SHARE, DELAY_NS = 0.05, 500_000
LOSS_SIGMAS = 4.0
READING_S = 0.05

_LONGER = 3
_DELAY_FRAMES, _DELAY_PAUSE_S = 40, 0.0005
_LOSS_FRAMES, _LOSS_FRAMES_MOST = 300, 3000
_TRIES = 3

Row = dict[str, Any]

_KNOWN: dict[str, list[Row]] = {}


@dataclass(frozen=True)
class _Direction:
    """One direction of a link: who sends, who receives, and what is declared of it."""

    name: str
    shape: Shape
    mtu: int
    sender: FrameEnd
    receiver: FrameEnd


def verify(testbed: Testbed, how: str, key: str) -> list[Row]:
    """A row for each declared property of each shaped direction: {link, check, declared, measured, ok, reason}.

    how: "off" for none; "every" tries now; "first" takes what was found of `key` before, unless something was wrong.
    ok is None where this host cannot offer enough to tell. Raises OSError.
    """
    if how == "off":
        return []
    found = _KNOWN.get(key)
    if how == "first" and found is not None and all(row["ok"] is not False for row in found):
        return found
    rows: list[Row] = []
    for index, link in enumerate(testbed.layout.topology.links):
        for end, shape in enumerate((link.forward, link.reverse)):
            if shape is not None and (shape.rate_bps is not None or shape.needs_netem):
                rows += _tried(testbed, testbed.layout.links[index][end], shape, link.mtu or DEFAULT_MTU)
    _KNOWN[key] = rows
    return rows


def doubts(rows: list[Row]) -> list[str]:
    """Reasons not to believe a run on such links."""
    return [str(row["reason"]) for row in rows if row["ok"] is False]


def breaches(layout: Layout, difference: Difference) -> list[str]:
    """What shaped links did while the workload ran that their shaping does not allow, in words."""
    found = []
    for ports in layout.ports.values():
        for port in ports:
            link = layout.topology.links[port.link]
            shape = (link.forward, link.reverse)[port.end]
            if shape is None or shape.rate_bps is None:
                continue
            counters = difference.nodes.get(port.node, {})
            sent, drops = (counters.get(f"qdisc:{port.device}:{key}", 0) for key in ("bytes", "drops"))
            # Counters of many nodes are read one after another: over a second, that is little.
            seconds = difference.elapsed_ns / 1e9 * (1 + RATE_SHARE) + READING_S
            most = shape.rate_bps / 8 * seconds + (
                shape.burst_bytes or default_burst(shape.rate_bps, DEFAULT_MTU)
            )
            name = f"{port.node} -> {port.peer_node}"
            if sent > most:
                rate = _megabits(8e9 * sent / difference.elapsed_ns)
                found.append(f"{name}: sent {rate} through a queue of {format_rate(shape.rate_bps)}")
            if drops and not sent:
                found.append(f"{name}: its queue sent nothing and dropped {drops} packets")
    return found


def starved(outcome: Outcome, most: float) -> list[str]:
    """Programs that waited for a CPU for more than this share of the time, without any contention."""
    if outcome.hog is not None:
        return []
    elapsed_ns = max(outcome.difference.elapsed_ns, 1)
    waits = {
        label: usage.wait_ns / elapsed_ns
        for label, usage in outcome.difference.programs.items()
        if label != "hog"
    }
    return [
        f"the {label} was starved: it waited for a CPU {100 * share:.0f} % of the time"
        for label, share in waits.items()
        if share > most
    ]


def _tried(testbed: Testbed, port: PortLayout, shape: Shape, mtu: int) -> list[Row]:
    """The checks of one direction; one that fails is tried again, longer, as this host may have been busy."""
    with ExitStack() as stack:
        far = testbed.layout.peer(port)
        ends = [
            stack.enter_context(
                FrameEnd(testbed.nodes[one.node].fd, one.device, one.ifindex, one.mac, other.mac)
            )
            for one, other in ((port, far), (far, port))
        ]
        for end in ends:
            end.received()
        direction = _Direction(f"{port.node} -> {port.peer_node}", shape, mtu, *ends)
        checks = [_loss, _delay] if shape.needs_netem else []
        checks += [_rate] if shape.rate_bps is not None else []
        rows: list[Row] = []
        for check in checks:
            rows += _settled(direction, check)
        _drain(direction)
        return rows


def _settled(direction: _Direction, check: Callable[[_Direction, int], list[Row]]) -> list[Row]:
    """The check's rows once they are good, else those of the last try that could tell, else of the last."""
    longer, told = 1, None
    for _ in range(_TRIES):
        # What an earlier try left waiting would be taken for this one's.
        _drain(direction)
        found = check(direction, longer)
        if all(row["ok"] for row in found):
            return found
        if any(row["ok"] is False for row in found):
            told = found
            longer *= _LONGER
        elif (direction.shape.rate_bps or 0) > linkrate.EASY_BPS:
            # Perhaps faster than this host can be: another try would only take time.
            break
    return told if told is not None else found


def _row(direction: _Direction, check: str, declared: str, measured: str, ok: bool | None) -> Row:
    reason = f"{direction.name}: {check} {measured} instead of {declared}" if ok is False else ""
    return {
        "link": direction.name,
        "check": check,
        "declared": declared,
        "measured": measured,
        "ok": ok,
        "reason": reason,
    }


def _rate(direction: _Direction, longer: int) -> list[Row]:
    """Keep some packets waiting, and see how fast they come out."""
    rate = direction.shape.rate_bps or 0
    declared = format_rate(rate)
    if rate > linkrate.FASTEST_BPS:
        return [_row(direction, "rate", declared, "not tried: faster than this check can send", None)]
    once = linkrate.measured(direction.sender, direction.receiver, direction.shape, direction.mtu, longer)
    if once is None:
        return [_row(direction, "rate", declared, "not known: this host could not keep it loaded", None)]
    measured = _megabits(once.bps)
    if abs(once.bps - rate) <= RATE_SHARE * rate + RATE_PACKETS * once.packet_bps:
        return [_row(direction, "rate", declared, measured, True)]
    if once.bps < rate and not (once.held and _again(direction, longer, once)):
        return [_row(direction, "rate", declared, f"not known: this host let only {measured} through", None)]
    return [_row(direction, "rate", declared, measured, False)]


def _again(direction: _Direction, longer: int, once: linkrate.Rate) -> bool:
    """Is the same found once more? A shaper is as slow the next time, a busy host hardly."""
    _drain(direction)
    twice = linkrate.measured(direction.sender, direction.receiver, direction.shape, direction.mtu, longer)
    if twice is None:
        return False
    return abs(twice.bps - once.bps) <= RATE_SHARE * once.bps + RATE_PACKETS * max(
        once.packet_bps, twice.packet_bps
    )


def _megabits(rate_bps: float) -> str:
    return f"{rate_bps / 1e6:.4g}mbit"


def _packets(direction: _Direction) -> int:
    """How many have arrived."""
    return direction.receiver.state().statistics["rx_packets"]


def _delay(direction: _Direction, longer: int) -> list[Row]:
    """Single frames, far apart: how long each is under way by the kernel's time stamps."""
    shape, times = direction.shape, []
    if not shape.delay_ns:
        return []
    direction.receiver.received()
    for number in range(_DELAY_FRAMES * longer):
        direction.sender.send(64, number, time.time_ns())
        time.sleep(_DELAY_PAUSE_S)
    deadline = time.monotonic() + (shape.delay_ns + shape.jitter_ns) / 1e9 + 0.05
    while (left := deadline - time.monotonic()) > 0:
        _readable(direction.receiver, left)
        times += [received - sent for _, sent, received in direction.receiver.received()]
        if len(times) == _DELAY_FRAMES * longer:
            break
    declared = format_duration(shape.delay_ns)
    if len(times) < 5:
        return [_row(direction, "delay", declared, "nothing arrived", False)]
    middle, slack = statistics.median(times), DELAY_SHARE * shape.delay_ns + DELAY_NS
    # netem spreads evenly: the median of n is within the jitter over the root of n, three times over to be safe.
    slack += 3 * shape.jitter_ns / math.sqrt(len(times))
    ok = abs(middle - shape.delay_ns) <= slack
    rows = [_row(direction, "delay", declared, f"{middle / 1e6:.3g}ms", ok)]
    spread = statistics.pstdev(times) * math.sqrt(3)  # of an even spread: half its width
    if shape.jitter_ns:
        near = 0.5 * shape.jitter_ns - DELAY_NS <= spread <= 1.5 * shape.jitter_ns + DELAY_NS
        rows.append(
            _row(direction, "jitter", format_duration(shape.jitter_ns), f"{spread / 1e6:.3g}ms", near)
        )
    return rows


def _loss(direction: _Direction, longer: int) -> list[Row]:
    """Many small frames: is the share that does not arrive within what chance allows?"""
    share = direction.shape.loss
    if not share:
        return []
    count = longer * min(max(_LOSS_FRAMES, round(30 / share)), _LOSS_FRAMES_MOST)
    before, sent = _packets(direction), 0
    for number in range(count):
        sent += direction.sender.send(64, number)
        if number % 50 == 49:
            time.sleep(0.001)
    _drain(direction)
    lost = sent - (_packets(direction) - before)
    slack = LOSS_SIGMAS * math.sqrt(sent * share * (1 - share)) + 1
    measured = format_percent(round(100 * lost / max(sent, 1), 3))
    return [_row(direction, "loss", format_percent(100 * share), measured, abs(lost - sent * share) <= slack)]


def _drain(direction: _Direction) -> None:
    """Wait until nothing more arrives: what is left in a queue would be in the way of the workload."""
    shape = direction.shape
    pause_s = max(0.002, 3 * 1514 * 8 / (shape.rate_bps or 10**9))
    deadline = time.monotonic() + 2 + (shape.delay_ns + shape.jitter_ns) / 1e9
    time.sleep((shape.delay_ns + shape.jitter_ns) / 1e9)
    last = -1
    while (now := _packets(direction)) != last and time.monotonic() < deadline:
        last = now
        time.sleep(pause_s)
    direction.receiver.received()


def _readable(end: FrameEnd, seconds: float) -> None:
    poll = select.poll()
    poll.register(end.fileno(), select.POLLIN)
    poll.poll(1000 * seconds)
