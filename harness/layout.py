"""From a Topology to every device, address and route of its testbed, before anything is made. Pure."""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from harness.errors import InputError
from harness.shaping import Disc, discs_of
from harness.spec.topology import Link, Topology

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_FIRST_IFINDEX = 2  # 1 is the loopback device of every namespace
_IPV6_MIN_MTU = 1280


class PortLayout(NamedTuple):
    """One end of a link: its device in its node, and who is at the other end."""

    node: str
    device: str
    ifindex: int
    interface: Interface
    mac: bytes
    link: int
    end: int
    peer_node: str
    discs: tuple[Disc, ...]


class Route(NamedTuple):
    """A static route of a node: `to` leaves by device `ifindex` through `gateway`."""

    to: Network
    gateway: Address
    ifindex: int


@dataclass(frozen=True)
class Layout:
    """A topology made concrete. links[i] holds the two ports of link i, by end."""

    topology: Topology
    links: tuple[tuple[PortLayout, PortLayout], ...]
    ports: dict[str, tuple[PortLayout, ...]]
    forwarding: dict[str, bool]

    def peer(self, port: PortLayout) -> PortLayout:
        """The other end of the port's link."""
        return self.links[port.link][1 - port.end]

    def routes(self, node: str) -> list[Route]:
        """The routes of a node: to every subnet that it reaches through another one, by the fewest hops.

        A node with one link needs only the default route (if its peer forwards), however large the topology.
        """
        ports = self.ports[node]
        gateways = [self.peer(port) for port in ports]
        if not any(self.forwarding[gateway.node] for gateway in gateways):
            return []
        if len(ports) == 1:
            zero = ipaddress.ip_network("0.0.0.0/0" if ports[0].interface.version == 4 else "::/0")
            return [Route(zero, gateways[0].interface.ip, ports[0].ifindex)]
        here = {port.interface.network for port in ports}
        first, found = self._nearest(node), {}
        for subnet, link in self._reached(node):
            if subnet not in here and subnet not in found:
                port = next(port for port in ports if port.link == first[link])
                found[subnet] = Route(subnet, self.peer(port).interface.ip, port.ifindex)
        return list(found.values())

    def address(self, node: str, seen_from: str | None = None) -> str:
        """The address by which `seen_from` reaches `node` in the fewest hops; the first one if not said.

        Raises InputError when there is no path, or the node has no link.
        """
        if not self.ports.get(node):
            raise InputError("find the address", on=node, got="the node has no link")
        if seen_from is None or seen_from == node:
            return str(self.ports[node][0].interface.ip)
        for port, _ in self._walk(seen_from):
            if port.node == node:
                return str(port.interface.ip)
        raise InputError(
            "find a path",
            on=f"{seen_from} -> {node}",
            got="no chain of links whose inner nodes forward",
            todo="link the two, or let the nodes between them forward",
        )

    def _reached(self, node: str) -> Iterator[tuple[Network, int]]:
        """(subnet, link) in the order in which a walk from `node` meets them."""
        for port, _ in self._walk(node):
            yield port.interface.network, port.link

    def _nearest(self, node: str) -> dict[int, int]:
        """For every link met: the link by which `node` sends to it."""
        first: dict[int, int] = {}
        for port, via in self._walk(node):
            first.setdefault(port.link, via)
        return first

    def _walk(self, start: str) -> Iterator[tuple[PortLayout, int]]:
        """Breadth first: the far port of every link crossed from `start`, and the first link on the way.

        Every link is crossed once, from its nearer end; only nodes that forward are passed through.
        """
        queue: deque[tuple[str, int | None]] = deque([(start, None)])
        seen, crossed = {start}, set[int]()
        while queue:
            node, via = queue.popleft()
            for port in self.ports[node]:
                if port.link in crossed:
                    continue
                crossed.add(port.link)
                far = self.peer(port)
                first = port.link if via is None else via
                yield far, first
                if far.node not in seen:
                    seen.add(far.node)
                    if self.forwarding[far.node]:
                        queue.append((far.node, first))


def plan_layout(topology: Topology) -> Layout:
    """Give every link its devices and addresses. Raises InputError for what cannot be built."""
    ports: dict[str, list[PortLayout]] = {name: [] for name in topology.nodes}
    links = []
    free = _free_subnets(topology)
    for index, link in enumerate(topology.links):
        interfaces = _interfaces(link, free)
        if interfaces[0].version == 6 and (link.mtu or _IPV6_MIN_MTU) < _IPV6_MIN_MTU:
            raise InputError(
                "lay out the topology", got=f"mtu {link.mtu}", todo="IPv6 needs an MTU of 1280 at least"
            )
        pair = []
        for end, (node, peer, shape) in enumerate(
            zip(link.between, reversed(link.between), (link.forward, link.reverse), strict=True)
        ):
            number = len(ports[node])
            discs = discs_of(shape, link.mtu)
            port = PortLayout(
                node,
                f"eth{number}",
                _FIRST_IFINDEX + number,
                interfaces[end],
                _mac(index, end),
                index,
                end,
                peer,
                discs,
            )
            ports[node].append(port)
            pair.append(port)
        links.append((pair[0], pair[1]))
    return Layout(
        topology,
        tuple(links),
        {name: tuple(of_node) for name, of_node in ports.items()},
        {name: topology.forwards(name) for name in topology.nodes},
    )


def _interfaces(link: Link, free: Iterator[tuple[str, str]]) -> tuple[Interface, Interface]:
    first, second = link.addresses if link.addresses is not None else next(free)
    return ipaddress.ip_interface(first), ipaddress.ip_interface(second)


def _free_subnets(topology: Topology) -> Iterator[tuple[str, str]]:
    """Address pairs, one /24 of 10.0.0.0/8 or one /64 of fd00::/32 per link, around the declared ones."""
    declared = {
        ipaddress.ip_interface(text).network for link in topology.links for text in link.addresses or ()
    }
    for number in range(65536):
        if topology.family == "ipv4":
            pair = (f"10.{number >> 8}.{number & 255}.1/24", f"10.{number >> 8}.{number & 255}.2/24")
        else:
            pair = (f"fd00:0:0:{number:x}::1/64", f"fd00:0:0:{number:x}::2/64")
        if declared:
            subnet = ipaddress.ip_interface(pair[0]).network
            if any(subnet.version == other.version and subnet.overlaps(other) for other in declared):
                continue
        yield pair
    raise InputError("lay out the topology", got="more than 65536 links", todo="declare the addresses")


def _mac(link: int, end: int) -> bytes:
    """A locally administered address that tells link and end: 02:00:LL:LL:LL:EE."""
    return bytes((2, 0)) + link.to_bytes(3, "big") + bytes((end + 1,))
