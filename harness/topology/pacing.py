"""What packets will see of a topology's links that its file does not say by itself, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from harness.spec.links import DevicePair, Overlay
from harness.spec.netem import correlated_share
from harness.spec.shape import Shape
from harness.spec.topology import Link, Topology
from harness.topology.overlays import wire_mtu
from harness.topology.qdiscs import NETEM_MOST_BPS, discs_of, frame_bytes, free_bytes, pace_of
from harness.units import format_duration, format_percent, format_rate, format_size


def link_notes(topology: Topology, netem: bool) -> list[str]:
    """A sentence for each kind of link and shape of which one has to know more; netem: does the kernel have it?"""
    notes: dict[str, list[str]] = {}
    for link in topology.links:
        if isinstance(link.kind, DevicePair | Overlay) and not link.kind.napi:
            note = f"what {link.nic} hands on bears no NAPI: no socket can busy-poll it"
            notes.setdefault(note, []).append(" - ".join(link.between))
        if link.pcap is not None:
            kept = f"the last {format_size(link.pcap.keep_bytes)} are kept"
            note = f"packets are copied at both ends, some 0.4 us each (with native AF_XDP none is seen); {kept}"
            notes.setdefault(note, []).append(" - ".join(link.between))
        if link.queue_series_ns is not None:
            note = f"its queues are looked into every {format_duration(link.queue_series_ns)}, which takes their lock"
            notes.setdefault(note, []).append(" - ".join(link.between))
        for way, shape in zip((link.between, link.between[::-1]), (link.forward, link.reverse), strict=True):
            for note in _notes(link, shape, netem) if shape is not None else ():
                notes.setdefault(note, []).append(" -> ".join(way))
    return [f"{_some(ways)}: {note}" for note, ways in notes.items()]


def _notes(link: Link, shape: Shape, netem: bool) -> Iterator[str]:
    mtu = wire_mtu(link)
    discs = discs_of(shape, mtu, netem)
    pace = pace_of(discs)
    if shape.rate_bps is not None and pace is not None and pace.kind != "netem":
        free = free_bytes(discs, mtu)
        at_once = "the first packet" if free < 2 * frame_bytes(mtu) else f"the first {format_size(free)}"
        note = f"{format_rate(shape.rate_bps)} by {pace.kind}: {at_once} after a pause is not held back"
        asked = shape.method is not None or shape.burst_bytes is not None
        if not netem and not asked and shape.changes is None and shape.rate_bps <= NETEM_MOST_BPS:
            note += "; netem, which this kernel lacks, would (pollbench vm run FILE has it)"
        yield note
    if shape.jitter_ns and not shape.keep_order:
        yield f"jitter {format_duration(shape.jitter_ns)} lets packets overtake each other; keep_order: on does not"
    for name, correlation in shape.correlation or ():
        if correlation and name == "delay":
            yield "netem's correlation of delays reaches no packet: it draws by the low digits of what it mixes"
        elif correlation:
            share = getattr(shape, name)
            really = f"{100 * correlated_share(share, correlation):.2g} %"
            yield f"{name} {format_percent(100 * share)} with this correlation is {really}: netem mixes its draws"


def _some(ways: list[str]) -> str:
    """The first few directions."""
    return ", ".join(ways[:2]) + (f" and {len(ways) - 2} more" if len(ways) > 2 else "")
