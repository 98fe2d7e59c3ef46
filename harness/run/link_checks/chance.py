"""Loss, duplicates and reordering of a shaped direction: frames enough to tell the declared share from none."""

from __future__ import annotations

import math
import time

from harness.run.link_checks.direction import Direction, drain, packets, row
from harness.store.record import LinkCheck
from harness.topology.qdiscs import discs_of
from harness.units import format_percent

SIGMAS = 4.0
# So many events are expected at least: four standard deviations below them is more than none.
_EVENTS = 25
_LEAST = 300
# Numbered frames are looked at one by one, each in Python; the others are only counted.
_COUNTED_MOST, _NUMBERED_MOST = 40_000, 3_000
_BATCH, _PAUSE_S, _PATIENCE_S = 50, 0.001, 4.0
_FRAME_BYTES = 64


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
    netem = next(disc.options for disc in discs_of(shape) if disc.kind == "netem")
    # At most half of what netem holds is under way: what it drops for want of room is no chance.
    held_s = (shape.delay_ns + shape.jitter_ns) / 1e9
    pause_s = max(pause_s, _BATCH * held_s / (netem["limit"] / 2))
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
    deadline = time.monotonic() + 0.05 + (shape.delay_ns + shape.jitter_ns) / 1e9
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
