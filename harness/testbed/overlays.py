"""The devices on top of a node's wires: made before they are up, set up with them, read back once the links stand."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Interface

from harness.errors import PollbenchError
from harness.kernel import links, overlays, wireguard
from harness.kernel.netlink import NetlinkSocket, Request
from harness.kernel.netns import in_netns
from harness.spec.links import Part
from harness.topology.layout import Layout, PortLayout
from harness.topology.overlays import OverlayPort

_PATIENCE_S, _PAUSE_S = 5.0, 0.001


def born(layout: Layout, node: str) -> Iterator[Request]:
    """Make the devices on top of the node's wires, which are there; where they have ports, these join."""
    for port, over in _of(layout, node):
        yield overlays.new_overlay(_end(layout, port, over))
        if over.kind.joined == "port":
            yield links.set_master(port.ifindex, over.ifindex, port.device)


def up(layout: Layout, node: str) -> Iterator[Request]:
    """Set them up after their wires. A wire that is a tunnel's gets its address, and knows the other end's."""
    for port, over in _of(layout, node):
        peer = layout.peer(port)
        if over.wire_address is not None and peer.over is not None:
            yield links.new_address(port.ifindex, over.wire_address)
            yield links.new_neighbour(port.ifindex, _address(peer.over).ip, peer.mac)
        yield links.link_up(over.ifindex, over.device)
        if over.kind.routes:
            yield overlays.new_rule(over.number, layout.topology.family)


def exchange_keys(layout: Layout, fds: Mapping[str, int]) -> None:
    """Have the two ends of each tunnel with keys know each other. Raises OSError."""
    for pair in layout.links:
        ends = [(port, port.over) for port in pair if port.over is not None and port.over.kind.keys]
        public = {}
        for port, over in ends:
            with in_netns(fds[port.node]):
                public[port.end] = wireguard.set_keys(over.ifindex)
        for port, over in ends:
            _, other = ends[1 - port.end]
            with in_netns(fds[port.node]):
                wireguard.set_peer(over.ifindex, public[1 - port.end], _address(other).ip, other.ifindex)


def check(layout: Layout, node: str, sock: NetlinkSocket) -> None:
    """See that each is what it was to be, up and with a carrier, which a bond looks for. Raises PollbenchError."""
    deadline = time.monotonic() + _PATIENCE_S
    for port, over in _of(layout, node):
        while wrong := overlays.differences(sock, _end(layout, port, over)):
            if time.monotonic() > deadline:
                on = f"{over.device} of {node}"
                raise PollbenchError(f"read back the {over.kind.name}", on=on, got=", ".join(wrong))
            time.sleep(_PAUSE_S)


def _of(layout: Layout, node: str) -> Iterator[tuple[PortLayout, OverlayPort]]:
    return ((port, port.over) for port in layout.ports[node] if port.over is not None)


def _end(layout: Layout, port: PortLayout, over: OverlayPort) -> overlays.OverlayEnd:
    """As the kernel is asked for it, with what the kind leaves open."""
    known = {Part.NUMBER: over.number.to_bytes(4, sys.byteorder)}
    other = layout.peer(port).over
    if over.wire_address is not None and other is not None:
        known |= {Part.LOCAL: over.wire_address.ip.packed, Part.REMOTE: _address(other).ip.packed}
    data = {number: known[value] if isinstance(value, Part) else value for number, value in over.kind.data.items()}
    below = port.ifindex if over.kind.joined == "names" else 0
    table = over.kind.routes
    return overlays.OverlayEnd(
        over.kind.device,
        over.device,
        over.ifindex,
        b"" if table else over.mac,
        None if table else over.mtu,
        below,
        data,
    )


def _address(over: OverlayPort) -> IPv4Interface:
    assert over.wire_address is not None
    return over.wire_address
