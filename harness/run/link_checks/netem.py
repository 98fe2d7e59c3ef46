"""What netem does to a shaped direction: delays and slots by time stamps; what it does by chance, by counting."""

from __future__ import annotations

import itertools
import math
import statistics
import time

from harness.run.link_checks.direction import Direction, drain, packets, row
from harness.run.process import readable
from harness.spec.delay_table import UNIT
from harness.spec.netem import correlated_share
from harness.spec.shape import Shape
from harness.store.record import LinkCheck
from harness.units import format_duration, format_percent

_DELAY_SHARE, _DELAY_NS = 0.05, 500_000
_SINGLE_FRAMES, _SINGLE_PAUSE_S = 40, 0.0005
SIGMAS = 4.0
# So many events are expected at least: four standard deviations below them is more than none.
_EVENTS = 25
_LEAST = 300
# Numbered frames are looked at one by one, each in Python; the others are only counted.
_COUNTED_MOST, _NUMBERED_MOST, _BURSTS_MOST = 40_000, 3_000, 9_000
_BATCH, _PAUSE_S, _PATIENCE_S = 50, 0.001, 4.0
_FRAME_BYTES = 64
_LIMIT = 1000
# A frame of which a bit of the EtherType is changed comes to nobody who looks for it.
_SHOWING = 1 - 2 / _FRAME_BYTES
_SLOTS, _FRAMES_A_SLOT, _SLOT_NS = 12, 10, 1_000_000


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
    ok = abs(middle - _middle_ns(shape)) <= slack
    rows = [row(direction, "delay", declared, f"{middle / 1e6:.3g}ms", ok, f"{slack / 1e6:.3g}ms")]
    # Of an even spread: half its width. Of a distribution: what of the jitter its deviation is.
    unit = statistics.pstdev(shape.table) / UNIT if shape.table else 1 / math.sqrt(3)
    spread = statistics.pstdev(times) / unit
    if shape.jitter_ns:
        declared, slack = format_duration(shape.jitter_ns), 0.5 * shape.jitter_ns + _DELAY_NS
        near = abs(spread - shape.jitter_ns) <= slack
        # Kept in order, packets wait for those before them: their delays are spread less evenly.
        near = near if not shape.keep_order else spread <= shape.jitter_ns + slack
        rows.append(row(direction, "jitter", declared, f"{spread / 1e6:.3g}ms", near, f"{slack / 1e6:.3g}ms"))
        rows.append(_order_row(direction, order))
    return rows


def _middle_ns(shape: Shape) -> float:
    """The median of its delays; none is below 0."""
    off = statistics.median(shape.table) / UNIT if shape.table else 0.0
    return max(0.0, shape.delay_ns + off * shape.jitter_ns)


def slot_rows(direction: Direction, longer: int) -> list[LinkCheck]:
    """Frames that come while a link is closed leave together when it opens: how long from one opening to the next.

    That is counted from the first frame that comes after one.
    """
    slots = direction.shape.slots
    if slots is None:
        return []
    least_ns, most_ns = slots.least_ns, slots.most_ns or slots.least_ns
    pause_s = least_ns / _FRAMES_A_SLOT / 1e9
    direction.receiver.received()
    count = _SLOTS * longer * _FRAMES_A_SLOT
    for number in range(count):
        direction.sender.send(_FRAME_BYTES, number, time.time_ns())
        time.sleep(pause_s)
    deadline = time.monotonic() + direction.held_s + 2 * most_ns / 1e9 + 0.05
    came: list[int] = []
    while (left := deadline - time.monotonic()) > 0 and len(came) < count:
        readable([direction.receiver.fileno()], left)
        came += [at for _, _, at in direction.receiver.received()]
    came.sort()
    # The last opening has the frames that were left.
    gaps = [later - at for at, later in itertools.pairwise(came) if later - at > least_ns / 2]
    declared = " to ".join(dict.fromkeys(format_duration(ns) for ns in (least_ns, most_ns)))
    if len(gaps) < 3:
        return [row(direction, "slots", declared, f"{len(gaps) + 1} openings for {len(came)} frames", False)]
    mean_ns, expected_ns = statistics.fmean(gaps), (least_ns + most_ns) / 2 + pause_s * 1e9
    slack_ns = 0.1 * expected_ns + _SLOT_NS + SIGMAS * (most_ns - least_ns) / math.sqrt(12 * len(gaps))
    ok = abs(mean_ns - expected_ns) <= slack_ns
    return [row(direction, "slots", declared, f"{mean_ns / 1e6:.3g}ms", ok, f"{slack_ns / 1e6:.3g}ms")]


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
    if shape.duplicate or shape.reorder or shape.corrupt or shape.chain is not None:
        return _numbered(direction, longer)
    return [_counted(direction, longer)] if _expected(shape, "loss") else []


def _expected(shape: Shape, name: str) -> float:
    """The share of packets that netem makes of what is declared; 0 for so few that none will be seen."""
    if name == "loss" and shape.chain is not None:
        return shape.chain.share()
    correlation = getattr(shape.correlation, name) if shape.correlation is not None else 0.0
    share = correlated_share(getattr(shape, name), correlation)
    if name == "reorder" and share:
        share = 1 / (shape.gap - 1 + 1 / share)
    return share if share > 1e-9 else 0.0


def _inflation(shape: Shape, name: str) -> float:
    """How much larger the variance of such a count is than if each packet were for itself."""
    if name == "loss" and shape.chain is not None:
        return shape.chain.inflation()
    correlation = getattr(shape.correlation, name) if shape.correlation is not None else 0.0
    return (1 + correlation) / max(1 - correlation, 0.01)


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
    share = _expected(direction.shape, "loss")
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
    shares = {name: _expected(shape, name) for name in ("loss", "duplicate", "reorder", "corrupt")}
    chain = shape.chain
    burst = chain.burst() if chain is not None else 1.0
    rarest = min((share / _inflation(shape, name) for name, share in shares.items() if share), default=1.0)
    count, pause_s = _enough(direction, rarest, _NUMBERED_MOST if chain is None else _BURSTS_MOST, longer)
    came: dict[int, int] = {}
    early = sent = 0
    damaged = direction.receiver.damaged

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
    damaged = direction.receiver.damaged - damaged
    loss, duplicate = shares["loss"], shares["duplicate"]
    rows = []
    if loss:
        # Of a frame that is lost and duplicated, one is left.
        missing = sent - len(came) - damaged
        rows.append(_share_row(direction, "loss", loss * (1 - duplicate), missing, sent))
    if chain is not None and not shape.corrupt:
        rows.append(_burst_row(direction, burst, [number for number in range(sent) if number not in came]))
    if duplicate:
        twice = sum(times > 1 for times in came.values())
        rows.append(_share_row(direction, "duplicate", duplicate * (1 - loss), twice, sent))
    if shape.reorder and shape.delay_ns:
        rows.append(_share_row(direction, "reorder", shares["reorder"], early, len(came)))
    if shares["corrupt"]:
        share = shares["corrupt"] * _SHOWING
        rows.append(_share_row(direction, "corrupt", share, damaged, len(came) + damaged))
    return rows


def _burst_row(direction: Direction, burst: float, lost: list[int]) -> LinkCheck:
    """How many frames were lost one behind the other, on average over the bursts. lost: their numbers in order."""
    lengths: list[int] = []
    for number, before in zip(lost, [None, *lost], strict=False):
        if before is not None and number == before + 1:
            lengths[-1] += 1
        else:
            lengths.append(1)
    if len(lengths) < 5:
        return row(direction, "bursts", f"{burst:.3g} frames", f"not known: {len(lengths)} bursts", None)
    mean = statistics.fmean(lengths)
    # Their lengths vary at least as those of a chain without memory do.
    deviation = max(statistics.pstdev(lengths), math.sqrt(burst * (burst - 1)))
    slack = SIGMAS * deviation / math.sqrt(len(lengths)) + 0.1
    measured = f"{mean:.3g} of {len(lengths)} bursts"
    return row(direction, "bursts", f"{burst:.3g} frames", measured, abs(mean - burst) <= slack, f"{slack:.2g}")


def _share_row(direction: Direction, check: str, share: float, events: int, frames: int) -> LinkCheck:
    """A share of frames against what chance allows of it; not known where it cannot be told from none."""
    slack = SIGMAS * math.sqrt(frames * share * (1 - share) * _inflation(direction.shape, check)) + 1
    near = abs(events - frames * share) <= slack
    telling = frames * share > slack
    measured = f"{format_percent(round(100 * events / max(frames, 1), 3))} of {frames:,} frames"
    if near and not telling:
        measured = f"not known: {measured}, too few to tell it from none"
    declared = format_percent(round(100 * share, 4))
    tolerance = f"{format_percent(round(100 * slack / max(frames, 1), 3))}"
    return row(direction, check, declared, measured, near if telling or not near else None, tolerance)
