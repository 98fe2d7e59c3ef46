"""The devices on top of links' wires: names, numbers, addresses, sizes. Pure."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from harness.spec.links import TUNNELS, Overlay
from harness.spec.topology import Link, Topology
from harness.topology.qdiscs import DEFAULT_MTU

# Added to the number of a wire's end; as many devices no node has.
_ABOVE = 1 << 20
# Of VNIs and routing tables; the kernel has tables of its own up to 255.
_FIRST_NUMBER = 1000


class OverlayPort(NamedTuple):
    """The device on top of one end of a wire. mac: empty where it has none; number: the link's own.

    wire_address: what a tunnel's wire has at this end; None elsewhere.
    """

    kind: Overlay
    device: str
    ifindex: int
    mac: bytes
    mtu: int
    number: int
    wire_address: ipaddress.IPv4Interface | None


def overlay_of(topology: Topology, index: int, end: int, number: int, ifindex: int, mac: bytes) -> OverlayPort | None:
    """What is on top of end `end` of link `index`, the `number`th of its node; None where there is nothing.

    mac: the hardware address that the file or the layout gives the interface.
    """
    link = topology.links[index]
    kind = link.kind
    if not isinstance(kind, Overlay):
        return None
    declared = link.devices[end] if link.devices is not None else None
    address = None
    if kind.joined == "tunnel":
        address = ipaddress.IPv4Interface((int(TUNNELS.network_address) + 2 * index + end, 31))
    return OverlayPort(
        kind,
        # Not gre0: the module makes one of that name in every namespace.
        declared or f"{kind.name}_{number}",
        ifindex + _ABOVE,
        b"" if kind.mac == "none" else mac,
        link.mtu or DEFAULT_MTU,
        _FIRST_NUMBER + index,
        address,
    )


def wire_mac(kind: object, mac: bytes) -> bytes:
    """The hardware address of a wire's end below a device with this one."""
    own = isinstance(kind, Overlay) and kind.mac == "own" and not kind.routes
    return bytes((mac[0], mac[1] ^ 1)) + mac[2:] if own else mac


def wire_mtu(link: Link) -> int | None:
    """The MTU of a link's wire: what is sent over it has room there with its header. None: the kernel's 1500."""
    if isinstance(link.kind, Overlay) and link.kind.header_bytes:
        return (link.mtu or DEFAULT_MTU) + link.kind.header_bytes
    return link.mtu
