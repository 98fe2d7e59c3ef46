"""From a Topology to every device, address and route of its testbed, before anything is made. Pure."""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from harness.errors import InputError
from harness.spec.rules_switching import segments
from harness.spec.shape import Shape
from harness.spec.topology import Topology
from harness.topology.overlays import OverlayPort, overlay_of, wire_mac, wire_mtu
from harness.topology.qdiscs import Disc, discs_of
from harness.topology.segments import UNLIMITED, most_segments, spread
from harness.topology.switching import Paths, idle_links, segment_addresses, shortest_paths

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Stands for the address of a port that has none, such as a switch's.
NO_ADDRESS = ipaddress.ip_interface("0.0.0.0/0")
# The address of every next hop where switches route: link-local, so that all links can share it.
FABRIC_GATEWAY = ipaddress.ip_address("169.254.0.1")
# Most hosts of a segment that get static entries for each other's hardware addresses: as many as their square.
STATIC_NEIGHBOURS = 64

# Below are the loopback device and those that some modules make in every new namespace (sit0, tunl0, gre0, ...).
_FIRST_IFINDEX = 100
_IPV6_MIN_MTU = 1280


class PortLayout(NamedTuple):
    """One end of a link: its device in its node, and who is at the other end. nic: the link's, or "host" if lent.

    segments, joins: frames in one packet that it may send, and that it may join of what it receives. over: the device
    on top of it, which then has the link's addresses.
    """

    node: str
    device: str
    ifindex: int
    interface: Interface
    mac: bytes
    link: int
    end: int
    peer_node: str
    discs: tuple[Disc, ...]
    nic: str = "veth"
    segments: int = UNLIMITED
    joins: int = UNLIMITED
    over: OverlayPort | None = None

    @property
    def ip_device(self) -> tuple[int, str, bytes]:
        """(number, name, hardware address) of the device that has the link's addresses, and by which routes leave."""
        if self.over is None or self.over.kind.routes:
            return self.ifindex, self.device, self.mac
        return self.over.ifindex, self.over.device, self.over.mac

    @property
    def addressed(self) -> bool:
        """Has it an address?"""
        return not self.interface.ip.is_unspecified


class Route(NamedTuple):
    """A static route of a node: `to` leaves by any of the devices through `gateway`; None: it is at the other end.

    fabric: switches route, and every next hop has the same address; else there is one device.
    """

    to: Network
    gateway: Address | None
    ifindexes: tuple[int, ...]
    fabric: bool = False


@dataclass(frozen=True)
class Layout:
    """A topology made concrete. links[i] holds the two ports of link i, by end."""

    topology: Topology
    links: tuple[tuple[PortLayout, PortLayout], ...]
    ports: dict[str, tuple[PortLayout, ...]]
    forwarding: dict[str, bool]
    idle: frozenset[int] = frozenset()
    paths: dict[str, Paths] = field(default_factory=dict)
    members: dict[str, tuple[PortLayout, ...]] = field(default_factory=dict)

    @cached_property
    def _has_router(self) -> bool:
        """Does any node forward at layer 3?"""
        return any(on and not self.topology.is_switch(name) for name, on in self.forwarding.items())

    @cached_property
    def _of_segment(self) -> dict[str, dict[str, str]]:
        """Every switch to the hosts of its segment, with the first address of each."""
        shared: dict[int, dict[str, str]] = {}
        for ports in self.members.values():
            if id(ports) not in shared:
                shared[id(ports)] = {port.node: str(port.interface.ip) for port in reversed(ports)}
        return {switch: shared[id(ports)] for switch, ports in self.members.items()}

    def routed(self) -> bool:
        """Do the switches route?"""
        return self.topology.switching == "route"

    def shape(self, port: PortLayout) -> Shape | None:
        """What is declared of the direction that leaves by the port."""
        link = self.topology.links[port.link]
        return (link.forward, link.reverse)[port.end]

    def on_switch(self, port: PortLayout) -> bool:
        """Is a switch at the other end of the port?"""
        return self.topology.is_switch(port.peer_node)

    def bridge_ifindex(self, node: str) -> int:
        """The number of a switch's bridge: the one after its ports'."""
        return max((port.ifindex for port in self.ports[node]), default=_FIRST_IFINDEX - 1) + 1

    def neighbours(self, port: PortLayout) -> list[PortLayout]:
        """The ports it has static neighbour entries for: the other end of its link, or its segment if that is small."""
        peer = self.peer(port)
        if not self.topology.is_switch(peer.node):
            return [peer] if port.addressed and peer.addressed else []
        members = self.members.get(peer.node, ())
        if not port.addressed or len(members) > STATIC_NEIGHBOURS:
            return []
        return [other for other in members if other != port]

    def _fabric_routes(self, switch: str) -> list[Route]:
        """The routes of a switch that routes: to its own hosts, and over all shortest paths to the others."""
        ifindexes = {port.link: port.ip_device[0] for port in self.ports[switch]}
        routes = [Route(_alone(host), None, (ifindexes[host.link],), fabric=True) for host in self._hosts_of(switch)]
        paths = self.paths[switch]
        if paths.most:
            ways = tuple(ifindexes[link] for link in paths.most)
            routes.append(Route(_everything(4), FABRIC_GATEWAY, ways, fabric=True))
        for other, links in paths.others.items():
            ways = tuple(ifindexes[link] for link in links)
            routes += [Route(_alone(host), FABRIC_GATEWAY, ways, fabric=True) for host in self._hosts_of(other)]
        return routes

    def _hosts_of(self, switch: str) -> list[PortLayout]:
        """The addressed ports of hosts on a switch."""
        peers = (self.peer(port) for port in self.ports[switch])
        return [peer for peer in peers if peer.addressed and not self.topology.is_switch(peer.node)]

    def peer(self, port: PortLayout) -> PortLayout:
        """The other end of the port's link."""
        return self.links[port.link][1 - port.end]

    def routes(self, node: str) -> list[Route]:
        """The routes of a node: to every subnet that it reaches through another one, by the fewest hops.

        A node with one link needs only the default route (if its peer forwards), however large the topology. A bridge
        has none.
        """
        if self.topology.is_switch(node):
            return self._fabric_routes(node) if self.routed() else []
        uplinks = [port.ip_device[0] for port in self.ports[node] if port.addressed and self.on_switch(port)]
        if self.routed() and uplinks:
            return [Route(_everything(4), FABRIC_GATEWAY, tuple(uplinks), fabric=True)]
        fixed = list(self._declared(node))
        declared = self.topology.nodes[node]
        if declared.default_route is not None or declared.routing is not None:
            return fixed
        given = {route.to for route in fixed}
        return fixed + [route for route in self._computed(node) if route.to not in given]

    def _computed(self, node: str) -> list[Route]:
        ports = self.ports[node]
        if not self._has_router:
            return []
        walked = list(self._walk(node))
        gateways = [gateway for _, _, gateway in walked if gateway is not None]
        if not any(self.forwarding[gateway.node] for gateway in gateways):
            return []
        if len(ports) == 1:
            first = next(gateway for gateway in gateways if self.forwarding[gateway.node])
            return [Route(_everything(first.interface.version), first.interface.ip, (ports[0].ip_device[0],))]
        here = {port.interface.network for port in ports if port.addressed}
        ifindexes = {port.link: port.ip_device[0] for port in ports}
        routes: dict[Network, Route] = {}
        for port, via, gateway in walked:
            subnet = port.interface.network
            if port.addressed and gateway is not None and subnet not in here:
                routes.setdefault(subnet, Route(subnet, gateway.interface.ip, (ifindexes[via],)))
        return list(routes.values())

    def _declared(self, node: str) -> Iterator[Route]:
        """The routes that a file declares. InputError where no port of the node is in a gateway's subnet."""
        declared = self.topology.nodes[node]
        routes = {ipaddress.ip_network(to): ipaddress.ip_address(via) for to, via in (declared.routes or {}).items()}
        if declared.default_route is not None:
            gateway = ipaddress.ip_address(declared.default_route)
            routes[_everything(gateway.version)] = gateway
        for to, gateway in routes.items():
            near = (port for port in self.ports[node] if port.addressed and gateway in port.interface.network)
            port = next(near, None)
            if port is None:
                name = "default route" if to.prefixlen == 0 else f"route to {to}"
                got = f"the gateway of its {name}, {gateway}, is in no subnet of its interfaces"
                todo = "take an address of a neighbour"
                raise InputError("lay out the topology", on=node, got=got, todo=todo)
            yield Route(to, gateway, (port.ip_device[0],))

    def address(self, node: str, seen_from: str | None = None) -> str:
        """The address by which `seen_from` reaches `node` in the fewest hops; the first one if not said.

        Raises InputError when there is no path, or the node has no link.
        """
        if not self.ports.get(node):
            raise InputError("find the address", on=node, got="the node has no link")
        if self.topology.is_switch(node):
            raise InputError("find the address", on=node, got="a switch has none")
        if seen_from is None or seen_from == node:
            return str(self.ports[node][0].interface.ip)
        for port in self.ports[seen_from]:
            # In the same segment there is no need to walk there.
            if (address := self._of_segment.get(port.peer_node, {}).get(node)) is not None:
                return address
        for port, _, _ in self._walk(seen_from):
            if port.node == node and port.addressed:
                return str(port.interface.ip)
        todo = "link the two, or let the nodes between them forward"
        raise InputError("find a path", f"{seen_from} -> {node}", "no chain of links whose inner nodes forward", todo)

    def _walk(self, start: str) -> Iterator[tuple[PortLayout, int, PortLayout | None]]:
        """Breadth first: the far port of every link crossed from `start`, the first link on the way, and the gateway.

        The gateway is the first port of a node at layer 3 on the way, None as long as only switches are met. Every link
        is crossed once, from its nearer end; only nodes that forward are passed through.
        """
        queue: deque[tuple[str, int | None, PortLayout | None]] = deque([(start, None, None)])
        seen, crossed = {start}, set[int]()
        while queue:
            node, via, gateway = queue.popleft()
            for port in self.ports[node]:
                if port.link in crossed or port.link in self.idle:
                    continue
                crossed.add(port.link)
                far = self.peer(port)
                first = port.link if via is None else via
                # A switch is no gateway, and what has no address cannot be one.
                entered = far if gateway is None and far.addressed else gateway
                yield far, first, entered
                if far.node not in seen:
                    seen.add(far.node)
                    if self.forwarding[far.node]:
                        queue.append((far.node, first, entered))


def plan_layout(topology: Topology, netem: bool = True) -> Layout:
    """Give every link its devices and addresses. Raises InputError for what cannot be built.

    netem: is it for a kernel that has netem?
    """
    ports: dict[str, list[PortLayout]] = {name: [] for name in topology.nodes}
    links = []
    free = _free_subnets(topology)
    on_switches = segment_addresses(topology)
    for index, link in enumerate(topology.links):
        interfaces = _interfaces(topology, index, free, on_switches)
        if topology.family == "ipv6" and (link.mtu or _IPV6_MIN_MTU) < _IPV6_MIN_MTU:
            raise InputError("lay out the topology", got=f"mtu {link.mtu}", todo="IPv6 needs an MTU of 1280 at least")
        pair = [_port(topology, index, end, len(ports[link.between[end]]), interfaces[end], netem) for end in (0, 1)]
        for port in pair:
            ports[port.node].append(port)
        links.append((pair[0], pair[1]))
    links = _limited(topology, links, ports)
    return Layout(
        topology,
        tuple(links),
        {name: tuple(sorted(of_node, key=lambda port: port.ifindex)) for name, of_node in ports.items()},
        {name: topology.forwards(name) for name in topology.nodes},
        frozenset(idle_links(topology)) if topology.switching == "bridge" else frozenset(),
        shortest_paths(topology) if topology.switching == "route" else {},
        _members(topology, links),
    )


def _limited(
    topology: Topology, links: Sequence[tuple[PortLayout, PortLayout]], ports: dict[str, list[PortLayout]]
) -> list[tuple[PortLayout, PortLayout]]:
    """The links, and in their place the ports of each node, with the limits of joined packets filled in."""
    own = {
        (port.link, port.end): most_segments(
            (topology.links[port.link].forward, topology.links[port.link].reverse)[port.end],
            port.discs,
            wire_mtu(topology.links[port.link]),
        )
        for pair in links
        for port in pair
        if port.discs
    }
    if not any(own.values()):
        return list(links)
    at = {node: [(port.link, port.end) for port in of_node] for node, of_node in ports.items()}
    sent, joined = spread(own, at, {name: topology.forwards(name) for name in topology.nodes})

    def limited(port: PortLayout) -> PortLayout:
        key = (port.link, port.end)
        return port._replace(segments=sent.get(key, UNLIMITED), joins=joined.get(key, UNLIMITED))

    for node, of_node in ports.items():
        ports[node] = [limited(port) for port in of_node]
    return [(limited(first), limited(second)) for first, second in links]


def _port(topology: Topology, index: int, end: int, number: int, interface: Interface, netem: bool) -> PortLayout:
    """End `end` of link `index`, the `number`th of its node."""
    link = topology.links[index]
    node = link.between[end]
    ifindex = _FIRST_IFINDEX + (link.ports[end] if link.ports is not None else number)
    declared = link.macs[end] if link.macs is not None else None
    mac = bytes.fromhex(declared.replace(":", "")) if declared else _mac(index, end)
    over = overlay_of(topology, index, end, number, ifindex, mac)
    device = link.devices[end] if link.devices is not None and over is None else None
    return PortLayout(
        node,
        # On a host of an inventory the interface is there already, under its name.
        topology.nodes[node].interface or device or f"eth{number}",
        ifindex,
        interface,
        wire_mac(link.kind, mac),
        index,
        end,
        link.between[1 - end],
        discs_of((link.forward, link.reverse)[end], wire_mtu(link), netem),
        link.nic,
        over=over,
    )


def _members(topology: Topology, links: Sequence[tuple[PortLayout, PortLayout]]) -> dict[str, tuple[PortLayout, ...]]:
    """Every switch to the addressed ports of hosts in its segment."""
    segment_of = segments(topology)
    members: dict[str, list[PortLayout]] = {name: [] for name in segment_of.values()}
    for pair in links:
        for port in pair:
            if port.addressed and port.peer_node in segment_of:
                members[segment_of[port.peer_node]].append(port)
    whole = {name: tuple(ports) for name, ports in members.items()}
    return {switch: whole[segment] for switch, segment in segment_of.items()}


def _alone(port: PortLayout) -> Network:
    """The port's address as a subnet of its own."""
    return ipaddress.ip_network(port.interface.ip)


def _everything(version: int) -> Network:
    return ipaddress.ip_network("0.0.0.0/0" if version == 4 else "::/0")


def _interfaces(
    topology: Topology, index: int, free: Iterator[tuple[str, str]], given: Mapping[tuple[int, int], str]
) -> tuple[Interface, Interface]:
    link = topology.links[index]
    declared: tuple[str | None, str | None] | None = link.addresses
    if declared is None and any(topology.is_switch(name) for name in link.between):
        declared = given.get((index, 0)), given.get((index, 1))
    first, second = (ipaddress.ip_interface(text) if text else NO_ADDRESS for text in declared or next(free))
    return first, second


def _free_subnets(topology: Topology) -> Iterator[tuple[str, str]]:
    """Address pairs, one /24 of 10.0.0.0/8 or one /64 of fd00::/32 per link, around the declared ones."""
    declared = {
        ipaddress.ip_interface(text).network
        for link in topology.links
        for text in link.addresses or ()
        if text is not None
    }
    for number in range(65536):
        if topology.family == "ipv4":
            pair = (f"10.{number >> 8}.{number & 255}.1/24", f"10.{number >> 8}.{number & 255}.2/24")
        else:
            pair = (f"fd00:0:0:{number:x}::1/64", f"fd00:0:0:{number:x}::2/64")
        subnet = ipaddress.ip_interface(pair[0]).network
        if not any(subnet.version == other.version and subnet.overlaps(other) for other in declared):
            yield pair
    raise InputError("lay out the topology", got="more than 65536 links", todo="declare the addresses")


def _mac(link: int, end: int) -> bytes:
    """A locally administered address that tells link and end: 02:00:LL:LL:LL:EE."""
    return bytes((2, 0)) + link.to_bytes(3, "big") + bytes((end + 1,))
