"""What the models cannot say about a topology: references, subnets, useless shaping, paths, hosts of a fleet."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from harness.errors import InputError
from harness.spec.links import LINK_KINDS, TUNNELS, HostNics, Overlay
from harness.spec.messages import Path, did_you_mean, first_of, problem
from harness.spec.rules_changes import change_mistakes
from harness.spec.rules_netem import netem_mistakes
from harness.spec.rules_routing import routing_mistakes
from harness.spec.rules_switching import switching_mistakes, unequal_mtus
from harness.spec.shape import Shape
from harness.spec.topology import Link, Topology
from harness.spec.yaml_tree import Tree

_IPV6_MIN_MTU = 1280
_ETHERNET_MTU, _ETHERNET_HEADER, _MOST_MTU = 1500, 14, 65535
_U32_MAX = 2**32 - 1
# Attributes of a shape, with their keys.
_QUEUES = {"queue_ns": "queue", "queue_bytes": "queue_bytes", "queue_packets": "queue_packets", "limit": "limit"}
_NEEDS_RATE = {
    "burst_bytes": "burst",
    "queue_ns": "queue",
    "queue_bytes": "queue_bytes",
    "queue_packets": "queue_packets",
    "method": "method",
}

# Interfaces by which a host is usually reached, or reaches itself.
_NEVER_LENT = ("eth0", "lo")
_NOT_ON_HOSTS = (
    *("switch", "priority", "default_route", "cpu_share", "forwarding", "sysctls", "initcwnd", "initrwnd", "routing"),
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def check_topology(topology: Topology, tree: Tree) -> None:
    """InputError at the first thing in the topology that cannot be built, the others with it. `tree` is the cell's."""
    first_of(topology_mistakes(topology, tree))


def topology_mistakes(topology: Topology, tree: Tree) -> Iterator[InputError]:
    """Everything in the topology that cannot be built."""
    dangling = False
    for index, link in enumerate(topology.links):
        path: Path = ("topology", "links", index)
        ends = list(_ends(topology, link, tree, path))
        yield from ends
        if not ends:
            yield from _addresses(topology, link, tree, path)
        dangling |= bool(ends)
        for direction, shape in link.declared_shapes().items():
            for key, got, todo in (*_shape_mistakes(shape, link.mtu), *netem_mistakes(shape)):
                yield problem(tree, (*path, direction, *key.split(".")), got, todo)
            yield from change_mistakes(topology, shape, tree, (*path, direction))
        if link.queue_series_ns is not None and not link.shaped:
            got = "no direction of this link is shaped, so that it has no queue"
            yield problem(
                tree, (*path, "queue_series"), got, 'add e.g. "shape: {rate: 10mbit}", or leave it out', key=True
            )
        yield from _overlay_mistakes(topology, link, tree, path)
        yield from _host_nics(link, tree, path)
        if topology.family == "ipv6" and link.mtu is not None and link.mtu < _IPV6_MIN_MTU:
            yield problem(tree, (*path, "mtu"), f"{link.mtu} is too small for IPv6", f"at least {_IPV6_MIN_MTU}")
    yield from _names_of_devices(topology, tree)
    yield from _lent_twice(topology, tree)
    yield from routing_mistakes(topology, tree)
    if dangling:
        return  # all that follows goes along the links
    yield from _overlaps(topology, tree)
    yield from unequal_mtus(topology, tree)
    yield from switching_mistakes(topology, tree)
    yield from _hosts(topology, tree)
    linked = {end for link in topology.links for end in link.between}
    for name in topology.nodes:
        if name not in linked:
            todo = did_you_mean(name, sorted(linked), "nodes with links")
            yield problem(tree, ("topology", "nodes", name), "no link reaches this node", todo, key=True)


def path_between(topology: Topology, source: str, target: str) -> bool:
    """Can packets get from `source` to `target`, through nodes that forward?"""
    neighbours: dict[str, set[str]] = {name: set() for name in topology.nodes}
    for link in topology.links:
        first, second = link.between
        neighbours[first].add(second)
        neighbours[second].add(first)
    reached, frontier = {source}, [source]
    while frontier:
        name = frontier.pop()
        node = topology.nodes[name]
        # A node with a single link has nowhere to forward to, so only a declared `off` stops a packet.
        if name != source and node.forwarding is False and not node.switch:
            continue
        fresh = neighbours[name] - reached
        reached |= fresh
        frontier.extend(fresh)
    return target in reached


def _ends(topology: Topology, link: Link, tree: Tree, path: Path) -> Iterator[InputError]:
    for end, name in enumerate(link.between):
        if name not in topology.nodes:
            known = did_you_mean(name, topology.nodes, "nodes")
            yield problem(tree, (*path, "between", end), f'there is no node "{name}"', known)
    if link.between[0] == link.between[1]:
        yield problem(tree, (*path, "between"), f'both ends are on node "{link.between[0]}"', "a link joins two nodes")


def _addresses(topology: Topology, link: Link, tree: Tree, path: Path) -> Iterator[InputError]:
    if link.addresses is None:
        return
    given = [None if address is None else ipaddress.ip_interface(address) for address in link.addresses]
    for end, interface in enumerate(given):
        if interface is None:
            continue
        if topology.is_switch(link.between[end]):
            got = f'"{link.between[end]}" is a switch: its end has no address'
            yield problem(tree, (*path, "addresses", end), got, "write null")
        if f"ipv{interface.version}" != topology.family:
            got = f"{interface} is not an {topology.family} address"
            todo = "topology.family says which family the links have"
            yield problem(tree, (*path, "addresses", end), got, todo)
    first, second = given
    if first is None or second is None:
        return
    if first.network != second.network:
        got = f"{first} and {second} are not in one subnet"
        yield problem(tree, (*path, "addresses"), got, "both ends of a link share one")
    if first.ip == second.ip:
        yield problem(tree, (*path, "addresses", 1), f"{second} is given to both ends", "each end has its own")


def _overlay_mistakes(topology: Topology, link: Link, tree: Tree, path: Path) -> Iterator[InputError]:
    """What a device on top of a link's wire cannot be."""
    kind = link.kind
    if not isinstance(kind, Overlay):
        return
    if not kind.frames and any(topology.nodes[name].switch for name in link.between if name in topology.nodes):
        bridged = [name for name, other in LINK_KINDS.items() if not isinstance(other, Overlay) or other.frames]
        got = f"{link.nic} does not carry the frames of others, so that a switch has no use for it"
        yield problem(tree, (*path, "nic"), got, f"take one of: {', '.join(bridged)}")
    if link.mtu is not None and link.mtu + kind.header_bytes > _MOST_MTU:
        got = f"the wire of {link.nic} has to carry {kind.header_bytes} bytes more, over {_MOST_MTU}"
        yield problem(tree, (*path, "mtu"), got, f"take {_MOST_MTU - kind.header_bytes} at most")
    for end, address in enumerate(link.addresses or ()):
        if address is not None and kind.joined == "tunnel" and ipaddress.ip_interface(address).ip in TUNNELS:
            got = f"{address} is of {TUNNELS}, where the wires of tunnels have theirs"
            yield problem(tree, (*path, "addresses", end), got, "take another")


def _names_of_devices(topology: Topology, tree: Tree) -> Iterator[InputError]:
    """Every namespace has its own loopback device already."""
    for index, link in enumerate(topology.links):
        for end, device in enumerate(link.devices or ()):
            if device == "lo" and not isinstance(link.kind, HostNics):
                got = f'"lo" is the loopback device that {link.between[end]} has already'
                yield problem(tree, ("topology", "links", index, "devices", end), got, "take another name, e.g. eth0")


def _host_nics(link: Link, tree: Tree, path: Path) -> Iterator[InputError]:
    """What a link of this host's own interfaces lacks, and what is not its to say."""
    if not isinstance(link.kind, HostNics):
        return
    devices = link.devices or (None, None)
    if None in devices:
        got = "nothing says which of this host's interfaces the link is of"
        yield problem(tree, (*path, "nic"), got, 'add e.g. "devices: [eth1, eth2]"')
    for end, device in enumerate(devices):
        if device in _NEVER_LENT:
            got = f"{device} is not lent: it may be what the host is reached by"
            yield problem(tree, (*path, "devices", end), got, "name an interface that is there for measuring")
    for key in ("macs", "queues"):
        if key in link.model_fields_set:
            got, todo = f"{key} is the interfaces' own here", "leave it out; queues can be set by the knob channels"
            yield problem(tree, (*path, key), got, todo, key=True)


def _lent_twice(topology: Topology, tree: Tree) -> Iterator[InputError]:
    """An interface is in one place at a time."""
    lent: dict[str, int] = {}
    for index, link in enumerate(topology.links):
        for end, device in enumerate(link.devices or ()):
            if device is None or not isinstance(link.kind, HostNics):
                continue
            if device in lent:
                got = f"{device} is lent already, by links.{lent[device]}"
                yield problem(tree, ("topology", "links", index, "devices", end), got, "name another interface")
            lent.setdefault(device, index)


def _overlaps(topology: Topology, tree: Tree) -> Iterator[InputError]:
    """No two links in overlapping subnets: sorted, an overlap is always with a neighbour that contains it.

    Mininet gives all hosts addresses of one subnet, whatever joins them. Where nobody routes, that does no harm.
    """
    if topology.mininet is not None and not any(
        topology.forwards(name) for name in topology.nodes if not topology.is_switch(name)
    ):
        return
    subnets = (
        (ipaddress.ip_interface(link.addresses[0]).network, index)
        for index, link in enumerate(topology.links)
        if link.addresses is not None and link.addresses[0] is not None and link.addresses[1] is not None
    )
    earlier: tuple[Network, int] | None = None
    for network, index in sorted(subnets, key=lambda item: (int(item[0].network_address), item[0].prefixlen)):
        if earlier is not None and int(network.network_address) <= int(earlier[0].broadcast_address):
            first, second = sorted((index, earlier[1]))
            got = f"its subnet overlaps that of links.{first} ({network} and {earlier[0]})"
            yield problem(tree, ("topology", "links", second, "addresses"), got, "every link has a subnet of its own")
        earlier = (network, index)


def _shape_mistakes(shape: Shape, mtu: int | None) -> Iterator[tuple[str, str, str]]:
    """(key, what is wrong, what to do) of each setting that does nothing without another, or that no kernel can do."""
    if shape.rate_bps is None:
        for attribute, key in _NEEDS_RATE.items():
            if attribute in shape.model_fields_set and getattr(shape, attribute) is not None:
                yield key, f"{key} means nothing without a rate", 'add e.g. "rate: 1gbit"'
    if shape.red is not None and shape.rate_bps is None:
        yield "red", "red means nothing without a rate", 'add e.g. "rate: 100mbit"'
    elif shape.red is not None and shape.method in ("netem", "tbf"):
        yield "red", f"{shape.method} has no RED below it", "leave out the method, or take htb or hfsc"
    if shape.limit is not None and not shape.needs_netem and shape.rate_bps is None:
        yield "limit", "limit is of netem, and nothing here needs one", 'use "qdisc: {kind: pfifo, limit: N}"'
    yield from _queue_mistakes(shape)
    yield from _burst_mistakes(shape, (mtu or _ETHERNET_MTU) + _ETHERNET_HEADER)
    for attribute, value in (("jitter", shape.jitter_ns), ("reorder", shape.reorder)):
        # A jitter around a delay of 0 that is written down is meant: tc has it, and half the packets wait.
        if value and not shape.delay_ns and (attribute != "jitter" or "delay_ns" not in shape.model_fields_set):
            yield attribute, f"{attribute} means nothing without a delay", 'add e.g. "delay: 1ms"'
    if shape.keep_order and not shape.jitter_ns:
        yield "keep_order", "keep_order means nothing without a jitter", 'add e.g. "jitter: 1ms"'
    if shape.keep_order and shape.reorder:
        yield "keep_order", "keep_order and reorder contradict each other", "leave out one of them"


def _queue_mistakes(shape: Shape) -> Iterator[tuple[str, str, str]]:
    """A queue that is declared twice, or that the shaper cannot have."""
    given = [key for attribute, key in _QUEUES.items() if attribute in shape.model_fields_set]
    given = [key for key in given if key == "queue" or getattr(shape, key) is not None]
    if len(given) > 1:
        yield given[1], f"{' and '.join(given)} are both limits of one queue", "keep one of them"
    elif given and shape.leaf is not None and shape.rate_bps is not None:
        todo = f"leave out {given[0]}, or the qdisc; its own limit is qdisc.limit"
        yield given[0], f"{given[0]} and qdisc are both queues for the rate", todo
    if "queue_ns" in shape.model_fields_set and not shape.queue_ns and shape.rate_bps is not None:
        yield "queue", "a queue of 0 has no room for a packet", 'take e.g. "queue_packets: 1"'
    if shape.queue_packets is not None and shape.method == "tbf":
        yield "queue_packets", "tbf counts its queue in bytes", 'take "queue_bytes", or leave out the method'
    if shape.method == "netem" and shape.leaf is not None and shape.leaf.kind != "pfifo":
        got = f"netem holds packets back before they reach {shape.leaf.kind}, which would never have any to look at"
        yield "method", got, "leave out the method, or take htb"


def _burst_mistakes(shape: Shape, frame: int) -> Iterator[tuple[str, str, str]]:
    """A burst that lets nothing through, or that the shaper has not."""
    if shape.burst_bytes is None:
        return
    if shape.burst_bytes == 0:
        yield "burst", "a burst of 0 lets nothing through", "leave it out to have it chosen from the rate"
    elif shape.rate_bps is not None and shape.burst_bytes < frame:
        got = f"a burst of {shape.burst_bytes} bytes is smaller than one full frame: such packets would never pass"
        yield "burst", got, f"give burst at least {frame}B, or leave it out"
    elif shape.burst_bytes > _U32_MAX:
        yield "burst", f"a burst of {shape.burst_bytes} bytes is over {_U32_MAX}", "leave it out"
    elif shape.method in ("netem", "hfsc"):
        yield "burst", f"{shape.method} has no burst", "leave it out, or take tbf or htb"


def _hosts(topology: Topology, tree: Tree) -> Iterator[InputError]:
    """Mistakes unless no node names a host, or two nodes, joined by one plain link, name two."""
    for name, node in topology.nodes.items():
        path: Path = ("topology", "nodes", name)
        if node.host is None and node.interface is not None:
            yield problem(tree, (*path, "interface"), "the node names no host", "add host: NAME", key=True)
        if node.host is not None and node.interface is None:
            yield problem(tree, (*path, "host"), "the node names no interface", "add interface: NAME", key=True)
        if node.interface in _NEVER_LENT:
            got = f"{node.interface} is not lent: it may be what the host is reached by"
            yield problem(tree, (*path, "interface"), got, "name an interface that is there for measuring")
    hosts = topology.on_hosts()
    if not hosts:
        return
    where: Path = ("topology", "nodes", next(iter(hosts)), "host")
    if len(topology.nodes) != 2 or len(topology.links) != 1 or len(hosts) != 2:
        got = "a topology on hosts is two nodes, each on a host of its own, and the link between them"
        yield problem(tree, where, got, "name a host and an interface for both, and one link", key=True)
        return
    if len(set(hosts.values())) != 2:
        yield problem(tree, where, "both nodes are on this host", "leave host and interface out, or name two")
    for name, node in topology.nodes.items():
        for key in _NOT_ON_HOSTS:
            if key in node.model_fields_set:
                got = f"{key} is nothing that a node on a host of its own can have"
                yield problem(tree, ("topology", "nodes", name, key), got, "leave it out", key=True)
    link = topology.links[0]
    for key in link.declared_shapes():
        got = "a real wire between two hosts is not shaped"
        yield problem(tree, ("topology", "links", 0, key), got, "leave it out", key=True)
    for key in ("devices", "macs", "ports", "queues", "nic", "pcap"):
        if key in link.model_fields_set:
            got, todo = f"{key} is the interfaces' own here", "leave it out; the interface is as its host has it"
            yield problem(tree, ("topology", "links", 0, key), got, todo, key=True)
