"""The layer-3 configuration of a node: addresses, neighbours, routes, and sysctls of its namespace."""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Iterator, Mapping, Sequence

from harness.kernel import links
from harness.kernel.netlink import Request
from harness.topology.layout import FABRIC_GATEWAY, Layout

# Since Linux 6.11.
HASH_SEED = "net.ipv4.fib_multipath_hash_seed"


def sysctls(layout: Layout, node: str) -> Iterator[tuple[str, int]]:
    """Sysctls to set, name and value: a new namespace copies the host's (with Docker it forwards, some filter)."""
    if layout.topology.is_switch(node):
        yield "net.ipv6.conf.default.disable_ipv6", 1
        if layout.routed():
            yield "net.ipv4.ip_forward", 1
            yield "net.ipv4.conf.all.rp_filter", 0
            yield "net.ipv4.conf.default.rp_filter", 0
            # By ports too, so that the flows between two hosts spread over the paths.
            yield "net.ipv4.fib_multipath_hash_policy", 1
            # Switches one behind the other that hash alike would leave paths unused: those that their choices exclude.
            yield HASH_SEED, zlib.crc32(node.encode()) | 1
        return
    kinds = [port.over.kind for port in layout.ports[node] if port.over is not None]
    if any(kind.routes for kind in kinds):
        # The addresses are local in that routing table alone, and a socket that is not bound to its device might not
        # bind to them. Such sockets take what comes by it, too; these are for IPv6 as well.
        yield f"net.{layout.topology.family}.ip_nonlocal_bind", 1
        for protocol in ("tcp", "udp", "raw"):
            yield f"net.ipv4.{protocol}_l3mdev_accept", 1
    if layout.topology.family == "ipv6":
        yield "net.ipv6.conf.default.disable_ipv6", 0
        # Link-local addresses usable at once too, and nobody asks for routers while we measure.
        yield "net.ipv6.conf.default.accept_dad", 0
        yield "net.ipv6.conf.default.router_solicitations", 0
        yield "net.ipv6.conf.all.forwarding", int(layout.forwarding[node])
        return
    # No IPv6 on IPv4 links: its router and multicast chatter would be noise on the wire.
    yield "net.ipv6.conf.default.disable_ipv6", 1
    yield "net.ipv4.ip_forward", int(layout.forwarding[node])
    if len(layout.ports[node]) > 1 or kinds:
        # The shortest ways there and back need not be the same where there are several.
        yield "net.ipv4.conf.all.rp_filter", 0
        yield "net.ipv4.conf.default.rp_filter", 0
        if layout.routed():
            yield "net.ipv4.fib_multipath_hash_policy", 1


def addresses(layout: Layout) -> dict[str, list[str]]:
    """Node to the addresses of its interfaces, with their prefix lengths."""
    ports = layout.ports.items()
    return {node: [str(port.interface) for port in of_node if port.addressed] for node, of_node in ports}


def hosts_file(known: Mapping[str, Sequence[str]], node: str) -> str:
    """Lines of /etc/hosts for a node: every node by its address next to this one, else by its first; each its own.

    known: as of `addresses`. Of several subnets that two nodes share, the first of this node counts.
    """
    own = [ipaddress.ip_interface(text) for text in known[node]]
    lines = []
    for name, texts in known.items():
        others = [ipaddress.ip_interface(text).ip for text in texts]
        near = [address for interface in own for address in others if address in interface.network]
        lines += [f"{address}\t{name}\n" for address in (near or others)[:1]]
    return "".join(lines)


def requests(layout: Layout, node: str) -> Iterator[Request]:
    """Addresses first, then static neighbours, then routes: each needs those before it."""
    switch = layout.topology.is_switch(node)
    for port in layout.ports[node] if layout.routed() or not switch else ():
        peer, ifindex = layout.peer(port), port.ip_device[0]
        if layout.routed() and layout.on_switch(port):
            # The hosts' subnet has no layer 2 of its own: everybody but the switch is behind the switch.
            if port.addressed:
                yield links.new_address(ifindex, ipaddress.ip_interface(port.interface.ip))
            yield links.new_neighbour(ifindex, FABRIC_GATEWAY, peer.ip_device[2])
            continue
        if port.addressed:
            yield links.new_address(ifindex, port.interface)
        # Permanent: no first packet waits for ARP, and no entry is checked again while we measure.
        near = [peer] if switch and peer.addressed else layout.neighbours(port)
        for other in near:
            if mac := other.ip_device[2]:
                yield links.new_neighbour(ifindex, other.interface.ip, mac)
    for route in layout.routes(node):
        onlink = route.fabric or route.gateway is None
        yield links.new_route(route.to, route.ifindexes, route.gateway, onlink=onlink)
