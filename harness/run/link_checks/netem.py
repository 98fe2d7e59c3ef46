"""What netem does to a shaped direction: delay and jitter by time stamps; loss, duplicates, reordering by counting."""

from __future__ import annotations

import math
import statistics
import time

from harness.run.link_checks.direction import Direction, drain, packets, row
from harness.run.process import readable
from harness.store.record import LinkCheck
from harness.units import format_duration, format_percent

_DELAY_SHARE, _DELAY_NS = 0.05, 500_000
_SINGLE_FRAMES, _SINGLE_PAUSE_S = 40, 0.0005
SIGMAS = 4.0
# So many events are expected at least: four standard deviations below them is more than none.
_EVENTS = 25
_LEAST = 300
# Numbered frames are looked at one by one, each in Python; the others are only counted.
_COUNTED_MOST, _NUMBERED_MOST = 40_000, 3_000
_BATCH, _PAUSE_S, _PATIENCE_S = 50, 0.001, 4.0
_FRAME_BYTES = 64
_LIMIT = 1000


def delay_rows(direction: Direction, longer: int) -> list[LinkCheck]:
    """Single frames, far apart: how long each is under way by the kernel's time stamps."""
    shape = direction.shape
    times: list[int] = []
    order: list[int] = []
    if not shape.delay_ns:
        return []
    direction.receiver.received()
    # netem's rate holds each of them back as well, and each is to find the link idle.
    serial_ns = _FRAME_BYTES * 8 * 10**9 // shape.rate_bps if shape.rate_bps else 0
    own_ns = serial_ns if direction.pace_kind == "netem" else 0
    for number in range(_SINGLE_FRAMES * longer):
        direction.sender.send(_FRAME_BYTES, number, time.time_ns())
        time.sleep(max(_SINGLE_PAUSE_S, 2 * serial_ns / 1e9))
    deadline = time.monotonic() + direction.held_s + 0.05
    while (left := deadline - time.monotonic()) > 0:
        readable([direction.receiver.fileno()], left)
        arrived = direction.receiver.received()
        order += [number for number, _, _ in arrived]
        times += [received - sent - own_ns for _, sent, received in arrived]
        if len(times) == _SINGLE_FRAMES * longer:
            break
    declared = format_duration(shape.delay_ns)
    if len(times) < 5:
        return [row(direction, "delay", declared, "nothing arrived", False)]
    middle, slack = statistics.median(times), _DELAY_SHARE * shape.delay_ns + _DELAY_NS
    # netem spreads evenly: the median of n is within the jitter over the root of n, three times over to be safe.
    slack += 3 * shape.jitter_ns / math.sqrt(len(times))
    ok = abs(middle - shape.delay_ns) <= slack
    rows = [row(direction, "delay", declared, f"{middle / 1e6:.3g}ms", ok, f"{slack / 1e6:.3g}ms")]
    spread = statistics.pstdev(times) * math.sqrt(3)  # of an even spread: half its width
    if shape.jitter_ns:
        declared, slack = format_duration(shape.jitter_ns), 0.5 * shape.jitter_ns + _DELAY_NS
        near = abs(spread - shape.jitter_ns) <= slack
        # Kept in order, packets wait for those before them: their delays are spread less evenly.
        near = near if not shape.keep_order else spread <= shape.jitter_ns + slack
        rows.append(row(direction, "jitter", declared, f"{spread / 1e6:.3g}ms", near, f"{slack / 1e6:.3g}ms"))
        rows.append(_order_row(direction, order))
    return rows


def _order_row(direction: Direction, order: list[int]) -> LinkCheck:
    """How many of the frames, sent 0.5 ms apart or more, came after one that was sent later."""
    latest, overtaken = -1, 0
    for number in order:
        overtaken += number < latest
        latest = max(latest, number)
    measured = f"{format_percent(round(100 * overtaken / max(len(order), 1), 1))} of {len(order)} frames overtaken"
    if direction.shape.keep_order:
        return row(direction, "order", "kept", measured, overtaken == 0)
    return row(direction, "order", "not kept by jitter", measured, None)


def chance_rows(direction: Direction, longer: int) -> list[LinkCheck]:
    """A row for each share that is declared."""
    shape = direction.shape
    if shape.duplicate or shape.reorder:
        return _numbered(direction, longer)
    return [_counted(direction, longer)] if shape.loss else []


def _enough(direction: Direction, share: float, most: int, longer: int) -> tuple[int, float]:
    """(frames to send, pause in s after each batch): enough to tell, within the check's time and the netem queue."""
    shape = direction.shape
    pause_s = max(_PAUSE_S, 1.1 * _BATCH * _FRAME_BYTES * 8 / (shape.rate_bps or 10**9))
    # At most half of what netem holds is under way: what it drops for want of room is no chance.
    limit = next((disc.options["limit"] for disc in direction.discs if "delay_ns" in disc.options), _LIMIT)
    pause_s = max(pause_s, _BATCH * direction.held_s / (limit / 2))
    in_time = int(_PATIENCE_S / pause_s) * _BATCH
    return longer * max(_LEAST, min(math.ceil(_EVENTS / share), most, in_time)), pause_s


def _counted(direction: Direction, longer: int) -> LinkCheck:
    """The row of a declared loss, by the receiving device's counter."""
    share = direction.shape.loss
    count, pause_s = _enough(direction, share, _COUNTED_MOST, longer)
    before, sent = packets(direction), 0
    while sent < count:
        went = direction.sender.send_many(_FRAME_BYTES, min(_BATCH, count - sent))
        if not went:
            break
        sent += went
        time.sleep(pause_s)
    drain(direction)
    return _share_row(direction, "loss", share, sent - (packets(direction) - before), sent)


def _numbered(direction: Direction, longer: int) -> list[LinkCheck]:
    """Rows by numbered frames: lost if it never came, duplicated if it came twice, reordered if it did not wait."""
    shape = direction.shape
    shares = [share for share in (shape.loss, shape.duplicate, shape.reorder) if share]
    count, pause_s = _enough(direction, min(shares), _NUMBERED_MOST, longer)
    came: dict[int, int] = {}
    early = sent = 0

    def take() -> None:
        nonlocal early
        for number, sent_ns, received_ns in direction.receiver.received():
            came[number] = came.get(number, 0) + 1
            early += came[number] == 1 and received_ns - sent_ns < shape.delay_ns / 2

    while sent < count and direction.sender.send(_FRAME_BYTES, sent, time.time_ns()):
        sent += 1
        if sent % _BATCH == 0:
            time.sleep(pause_s)
            take()
    deadline = time.monotonic() + 0.05 + direction.held_s
    while time.monotonic() < deadline:
        time.sleep(0.005)
        take()
    rows = []
    if shape.loss:
        # Of a frame that is lost and duplicated, one is left.
        rows.append(_share_row(direction, "loss", shape.loss * (1 - shape.duplicate), sent - len(came), sent))
    if shape.duplicate:
        twice, share = sum(times > 1 for times in came.values()), shape.duplicate * (1 - shape.loss)
        rows.append(_share_row(direction, "duplicate", share, twice, sent))
    if shape.reorder and shape.delay_ns:
        rows.append(_share_row(direction, "reorder", shape.reorder, early, len(came)))
    return rows


def _share_row(direction: Direction, check: str, share: float, events: int, frames: int) -> LinkCheck:
    """A share of frames against what chance allows of it; not known where it cannot be told from none."""
    slack = SIGMAS * math.sqrt(frames * share * (1 - share)) + 1
    near = abs(events - frames * share) <= slack
    telling = frames * share > slack
    measured = f"{format_percent(round(100 * events / max(frames, 1), 3))} of {frames:,} frames"
    if near and not telling:
        measured = f"not known: {measured}, too few to tell it from none"
    declared = format_percent(round(100 * share, 4))
    tolerance = f"{format_percent(round(100 * slack / max(frames, 1), 3))}"
    return row(direction, check, declared, measured, near if telling or not near else None, tolerance)
