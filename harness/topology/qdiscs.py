"""From a declared Shape to the chain of qdiscs that does it, root first. Pure."""

from __future__ import annotations

from typing import NamedTuple

from harness.errors import InputError
from harness.spec.topology import Shape, Topology

ROOT_PARENT = 0xFFFFFFFF
DEFAULT_MTU = 1500
ETHERNET_HEADER = 14

# A shaper is woken by a high-resolution timer, but a burst of rate / HZ is the rule that holds on every
# kernel; 250 is the commonest HZ, and 4 ms of the rate is little enough to leave the rate true over a
# fraction of a second.
_BURSTS_PER_SECOND = 250
_SMALLEST_BURST = 1600
_U32_MAX = 2**32 - 1

_RATE_OPTIONS = {
    "tbf": ("rate_bps", "burst_bytes", "limit_bytes"),
    "htb": ("rate_bps", "burst_bytes"),
    "hfsc": ("rate_bps",),
}

# netem keeps delayed packets in its own queue. Its default of 1000 packets loses packets on a fast link
# with a long delay, so it grows with rate x delay, counted in smallish packets, up to a bound that still
# fits in memory.
_NETEM_LIMIT, _NETEM_LIMIT_MAX, _NETEM_PACKET_BYTES = 1000, 1_000_000, 256


class Disc(NamedTuple):
    """One qdisc of a chain; handle and parent as tc numbers (major << 16 | minor), options by our names."""

    kind: str
    handle: int
    parent: int
    options: dict[str, int | float]


def discs_of(shape: Shape | None, mtu: int | None = None) -> tuple[Disc, ...]:
    """The chain: rate limit (tbf, htb or hfsc), then red, netem, then the leaf; empty where nothing is declared.

    The rate comes first because a packet is first serialised, then travels. Raises InputError for a
    declaration that no kernel can do.
    """
    if shape is None:
        return ()
    chain: list[tuple[str, dict[str, int | float]]] = []
    if shape.rate_bps is not None:
        options = _rate_options(shape, shape.rate_bps, mtu or DEFAULT_MTU)
        chain.append((shape.method, {key: options[key] for key in _RATE_OPTIONS[shape.method]}))
        if shape.red is not None:
            chain.append(("red", _red_options(shape, shape.rate_bps)))
    if shape.needs_netem:
        chain.append(("netem", _netem_options(shape)))
    if shape.leaf is not None:
        chain.append((shape.leaf.kind, _leaf_options(shape)))
    elif shape.rate_bps is not None and shape.method != "tbf" and not shape.needs_netem and not shape.red:
        # tbf brings a queue of `queue` with it; the others would fall back to one of 1000 packets, whatever
        # the rate.
        options = _rate_options(shape, shape.rate_bps, mtu or DEFAULT_MTU)
        chain.append(("bfifo", {"limit": options["limit_bytes"]}))
    discs: list[Disc] = []
    for level, (kind, options) in enumerate(chain, 1):
        parent = discs[-1].handle | 1 if discs else ROOT_PARENT
        discs.append(Disc(kind, level << 16, parent, options))
    return tuple(discs)


def kinds_of(topology: Topology) -> set[str]:
    """The qdisc kinds a topology needs from the kernel."""
    shapes = [shape for link in topology.links for shape in (link.forward, link.reverse)]
    return {disc.kind for shape in shapes for disc in discs_of(shape)}


def default_burst(rate_bps: int, mtu: int) -> int:
    """Bytes: 4 ms of the rate, and never less than one full frame."""
    return max(rate_bps // 8 // _BURSTS_PER_SECOND, mtu + ETHERNET_HEADER, _SMALLEST_BURST)


def _rate_options(shape: Shape, rate_bps: int, mtu: int) -> dict[str, int | float]:
    burst = shape.burst_bytes if shape.burst_bytes is not None else default_burst(rate_bps, mtu)
    if burst < mtu + ETHERNET_HEADER:
        got = f"a burst of {burst} bytes is smaller than one full frame: such packets would never pass"
        raise InputError("shape a link", got=got, todo=f"give burst at least {mtu + ETHERNET_HEADER}B, or leave it out")
    if burst > _U32_MAX:
        raise InputError("shape a link", got=f"a burst of {burst} bytes is over {_U32_MAX}")
    limit = rate_bps * shape.queue_ns // (8 * 10**9) + burst
    return {"rate_bps": rate_bps, "burst_bytes": burst, "limit_bytes": min(limit, _U32_MAX)}


def _red_options(shape: Shape, rate_bps: int) -> dict[str, int | float]:
    """As Mininet's TCIntf has them, in bytes and packets."""
    thresholds: dict[str, int | float] = {"limit": 1_000_000, "min": 30_000, "max": 35_000}
    averaging = {"avpkt": 1500, "burst": 20, "red_rate_bps": rate_bps, "probability": 1}
    return thresholds | averaging | {"ecn": int(shape.red == "ecn")}


def _netem_options(shape: Shape) -> dict[str, int | float]:
    held_ns = shape.delay_ns + shape.jitter_ns + shape.queue_ns
    packets = -(-(shape.rate_bps or 0) * held_ns // (8 * 10**9 * _NETEM_PACKET_BYTES))
    return {
        "delay_ns": shape.delay_ns,
        "jitter_ns": shape.jitter_ns,
        "loss": shape.loss,
        "duplicate": shape.duplicate,
        "reorder": shape.reorder,
        "limit": shape.limit or min(max(_NETEM_LIMIT, packets), _NETEM_LIMIT_MAX),
    }


def _leaf_options(shape: Shape) -> dict[str, int | float]:
    assert shape.leaf is not None
    if shape.leaf.limit is None:
        return {}
    if shape.leaf.kind == "cake":
        raise InputError("shape a link", got="cake has no packet limit", todo="leave out the limit of cake")
    return {"limit": shape.leaf.limit}
