"""From a declared Shape to the chain of qdiscs that does it, root first. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from harness.errors import InputError
from harness.spec.shape import Shape
from harness.spec.topology import Topology

ROOT_PARENT = 0xFFFFFFFF
DEFAULT_MTU = 1500
ETHERNET_HEADER = 14

Pace = Literal["netem", "tbf", "htb", "hfsc"]

# What a bucket lets through at once unless a burst is asked for: as much as passes in the time by which a timer is late
# (35 to 45 us on a virtual machine). Less of it, and lateness is lost: at 100 Mbit/s a burst of one frame reaches 78 %
# of the rate. More, and packets leave earlier than they could.
BUCKET_NS = 50_000
# netem holds each packet back for its own time on the wire, by a timer. Above this a full frame takes less than 12 us,
# about what the timer is late by, so that a bucket is nearer to the truth.
NETEM_MOST_BPS = 10**9
# A queue that nobody has declared still holds a first window of TCP.
_LEAST_FRAMES = 16
_U32_MAX = 2**32 - 1

# netem keeps delayed packets in its own queue, which must never be what drops them. Where nothing limits the rate, veth
# carries at most some 2.5 million packets a second.
_NETEM_LIMIT, _NETEM_LIMIT_MAX, _FASTEST_PPS = 1000, 1_000_000, 2_500_000
# netem keeps the order of packets where it has a rate: one at which a frame takes next to no time.
_KEEPS_ORDER_BPS = 10**12


class Disc(NamedTuple):
    """One qdisc of a chain; handle and parent as tc numbers (major << 16 | minor), options by our names.

    table: of netem, what its delay is drawn from, in 1/8192 of the jitter.
    """

    kind: str
    handle: int
    parent: int
    options: dict[str, int | float]
    table: tuple[int, ...] = ()


def discs_of(shape: Shape | None, mtu: int | None = None, netem: bool = True, delays: bool = False) -> tuple[Disc, ...]:
    """The chain of a direction, root first; empty where nothing is declared. netem: does the kernel have it?

    delays: with the stage in which packets travel, also where they do so in no time.

    The delay comes before the rate, each with a limit of its own: packets travel, then wait, then are serialised. A
    bucket (tbf, htb, hfsc) asks what is below it for packets and cannot hand them on to a delay; a netem could, and
    would count what travels in its child against its own limit (Linux 6.12, 7.3). Raises InputError for a declaration
    that no kernel can do.
    """
    if shape is None:
        return ()
    chain: list[tuple[str, dict[str, int | float]]] = []
    pace = pace_of_shape(shape, netem)
    delayed = [("netem", _delay_options(shape))] if delays or shape.needs_netem else []
    if pace == "netem" and shape.duplicate:
        # Beside one that duplicates, later kernels take no second netem.
        both = _delay_options(shape) | _serial_options(shape, mtu)
        both["limit"] = min(int(both["limit"]) + _in_flight(shape, mtu), _NETEM_LIMIT_MAX)
        chain.append(("netem", both))
    elif pace == "netem":
        chain += [*delayed, ("netem", _serial_options(shape, mtu))]
    else:
        chain += delayed
        if pace is not None:
            chain += _bucket(shape, pace, mtu)
        elif shape.leaf is not None:
            chain.append((shape.leaf.kind, _leaf_options(shape)))
    discs: list[Disc] = []
    for level, (kind, options) in enumerate(chain, 1):
        parent = discs[-1].handle | 1 if discs else ROOT_PARENT
        table = shape.table if "delay_ns" in options else ()
        discs.append(Disc(kind, level << 16, parent, options, table))
    return tuple(discs)


def pace_of_shape(shape: Shape, netem: bool = True) -> Pace | None:
    """What holds packets back to the rate: what is asked for by name, else netem where that is nearest to the truth."""
    if shape.rate_bps is None:
        return None
    if shape.method is not None:
        return shape.method
    if shape.changes is not None:
        # netem would send what waits at the rate it came at, and tbf begins each rate with a full bucket.
        return "htb"
    if shape.burst_bytes is not None:
        return "tbf"
    counted = shape.leaf is None or shape.leaf.kind == "pfifo"
    return "netem" if netem and counted and shape.red is None and shape.rate_bps <= NETEM_MOST_BPS else "htb"


def pace_of(discs: Sequence[Disc]) -> Disc | None:
    """The disc that holds packets back to a rate; None for no rate."""
    return next((disc for disc in discs if disc.kind in _BUCKETS or _is_serial(disc)), None)


def _is_serial(disc: Disc) -> bool:
    return disc.kind == "netem" and disc.options.get("rate_bps", _KEEPS_ORDER_BPS) != _KEEPS_ORDER_BPS


def free_bytes(discs: Sequence[Disc], mtu: int | None) -> int:
    """What may pass at once after a pause: a bucket, and of those that may be overdrawn one full frame besides."""
    pace = pace_of(discs)
    burst = int(pace.options.get("burst_bytes", 0)) if pace is not None else 0
    return burst if pace is not None and pace.kind == "tbf" else burst + frame_bytes(mtu)


def room_of(discs: Sequence[Disc], mtu: int | None) -> int | None:
    """Bytes that may wait for the rate in a plain queue, full frames where it counts those; None for any other."""
    pace = pace_of(discs)
    if pace is None:
        return None
    if pace.kind == "netem":
        return (int(pace.options["limit"]) - 1) * frame_bytes(mtu) if "delay_ns" not in pace.options else None
    leaf = discs[-1]
    if leaf.kind == "pfifo" and "limit" in leaf.options:
        return int(leaf.options["limit"]) * frame_bytes(mtu)
    limit = leaf.options.get("limit" if leaf.kind == "bfifo" else "limit_bytes")
    return None if limit is None else int(limit)


def kinds_of(topology: Topology, netem: bool = True) -> set[str]:
    """The qdisc kinds a topology needs from a kernel that has netem, or has not."""
    shapes = [shape for link in topology.links for shape in (link.forward, link.reverse)]
    return {disc.kind for shape in shapes for disc in discs_of(shape, netem=netem)}


def frame_bytes(mtu: int | None) -> int:
    """A full frame as queues count it."""
    return (mtu or DEFAULT_MTU) + ETHERNET_HEADER


def default_burst(rate_bps: int, mtu: int | None, kind: str = "htb") -> int:
    """Bytes of a bucket: what passes in 50 us; for tbf, which waits until a packet fits, the largest packet besides.

    That packet has as many frames as pass in 50 us, at least one: a bucket of its size alone would lose all lateness.
    """
    passing = passing_bytes(rate_bps)
    full = frame_bytes(mtu)
    return passing + max(1, passing // full) * full if kind == "tbf" else passing


def passing_bytes(rate_bps: int) -> int:
    """What passes in the time by which a timer is late."""
    return max(1, rate_bps * BUCKET_NS // (8 * 10**9))


def queue_bytes(shape: Shape, mtu: int | None) -> int:
    """Bytes that may wait for the rate. A limit in packets is one in full frames here."""
    packets = shape.queue_packets or shape.limit
    if packets is not None:
        return packets * frame_bytes(mtu)
    if shape.queue_bytes is not None:
        return shape.queue_bytes
    size = (shape.rate_bps or 0) * shape.queue_ns // (8 * 10**9)
    return size if "queue_ns" in shape.model_fields_set else max(size, _LEAST_FRAMES * frame_bytes(mtu))


def queue_packets(shape: Shape, mtu: int | None) -> int:
    """Packets that may wait for the rate by netem, which counts nothing else, besides the one being sent."""
    packets = shape.queue_packets or shape.limit or (shape.leaf.limit or 1000 if shape.leaf else None)
    return min(packets if packets is not None else -(-queue_bytes(shape, mtu) // frame_bytes(mtu)), _U32_MAX - 1)


def _serial_options(shape: Shape, mtu: int | None) -> dict[str, int | float]:
    return {"rate_bps": shape.rate_bps or 0, "limit": queue_packets(shape, mtu) + 1}


def _bucket(shape: Shape, pace: str, mtu: int | None) -> Iterator[tuple[str, dict[str, int | float]]]:
    """The shaper and what waits below it: the declared leaf, else a queue of the declared length."""
    rate_bps, full = shape.rate_bps or 0, frame_bytes(mtu)
    burst = shape.burst_bytes if shape.burst_bytes is not None else default_burst(rate_bps, mtu, pace)
    if shape.burst_bytes is not None and burst < full:
        got = f"a burst of {burst} bytes is smaller than one full frame: such packets would never pass"
        raise InputError("shape a link", got=got, todo=f"give burst at least {full}B, or leave it out")
    if burst > _U32_MAX:
        raise InputError("shape a link", got=f"a burst of {burst} bytes is over {_U32_MAX}")
    waiting = min(queue_bytes(shape, mtu) + max(burst, full), _U32_MAX)
    options = {"rate_bps": rate_bps, "burst_bytes": burst, "limit_bytes": waiting}
    yield pace, {key: options[key] for key in _BUCKETS[pace]}
    if shape.red is not None:
        yield "red", _red_options(shape, rate_bps)
    packets = shape.queue_packets or shape.limit
    if shape.leaf is not None:
        yield shape.leaf.kind, _leaf_options(shape)
    elif packets is not None:
        yield "pfifo", {"limit": packets}
    elif pace != "tbf" and not shape.red:
        # tbf brings such a queue with it; the others would fall back to one of 1000 packets, whatever the rate.
        yield "bfifo", {"limit": waiting}


_BUCKETS = {
    "tbf": ("rate_bps", "burst_bytes", "limit_bytes"),
    "htb": ("rate_bps", "burst_bytes"),
    "hfsc": ("rate_bps",),
}


def _red_options(shape: Shape, rate_bps: int) -> dict[str, int | float]:
    """As Mininet's TCIntf has them, in bytes and packets."""
    thresholds: dict[str, int | float] = {"limit": 1_000_000, "min": 30_000, "max": 35_000}
    averaging = {"avpkt": 1500, "burst": 20, "red_rate_bps": rate_bps, "probability": 1}
    return thresholds | averaging | {"ecn": int(shape.red == "ecn")}


def _delay_options(shape: Shape) -> dict[str, int | float]:
    """Of the stage in which packets travel. What waits for a rate below it may count against its limit: it has none."""
    limit = min(max(_NETEM_LIMIT, -(-_FASTEST_PPS * shape.held_ns // 10**9)), _NETEM_LIMIT_MAX)
    if shape.rate_bps is not None:
        limit = _NETEM_LIMIT_MAX
    elif shape.limit is not None:
        limit = shape.limit
    options: dict[str, int | float] = {
        "delay_ns": shape.delay_ns,
        "jitter_ns": shape.jitter_ns,
        "loss": shape.loss,
        "duplicate": shape.duplicate,
        "reorder": shape.reorder,
        "limit": limit,
    }
    return options | ({"rate_bps": _KEEPS_ORDER_BPS} if shape.keep_order else {}) | _rarer_options(shape)


def _rarer_options(shape: Shape) -> dict[str, int | float]:
    """What else is declared of netem's chance and times."""
    options: dict[str, int | float] = {"gap": shape.gap} if shape.gap > 1 else {}
    if shape.corrupt:
        options["corrupt"] = shape.corrupt
    if shape.ecn:
        options["ecn"] = 1
    if (model := shape.gilbert_elliott or shape.four_states) is not None:
        options |= dict(model)
    if shape.correlation is not None:
        options |= {f"{name}_correlation": share for name, share in shape.correlation if share}
    if (slots := shape.slots) is not None:
        most_ns = slots.least_ns if slots.most_ns is None else slots.most_ns
        options |= {"slot_least_ns": slots.least_ns, "slot_most_ns": most_ns}
        options |= {"slot_packets": slots.packets or 0, "slot_bytes": slots.bytes or 0}
    return options | ({"seed": shape.seed} if shape.seed is not None else {})


def _in_flight(shape: Shape, mtu: int | None) -> int:
    """Full frames that are under way at the rate."""
    return -(-(shape.rate_bps or 0) * shape.held_ns // (8 * 10**9 * frame_bytes(mtu)))


def _leaf_options(shape: Shape) -> dict[str, int | float]:
    assert shape.leaf is not None
    leaf = shape.leaf
    if leaf.kind == "cake" and leaf.limit is not None:
        raise InputError("shape a link", got="cake has no packet limit", todo="leave out the limit of cake")
    threshold_us = None if leaf.ce_threshold_ns is None else leaf.ce_threshold_ns // 1000
    ecn = None if leaf.ecn is None else int(leaf.ecn)
    given = {"limit": leaf.limit, "ce_threshold_us": threshold_us, "ecn": ecn}
    return {name: value for name, value in given.items() if value is not None}
