"""What switches do, decided before anything is made: subnets of segments, idle links, paths of equal length. Pure."""

from __future__ import annotations

import ipaddress
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from harness.errors import InputError
from harness.spec.rules_switching import segments
from harness.spec.topology import Topology

_DEFAULT_PRIORITY = 32768


def idle_links(topology: Topology) -> set[int]:
    """The links between switches that the spanning tree leaves out, by number.

    The tree that the spanning tree protocol would find where all links cost the same: from the switch of the lowest
    priority (the first of several) by the fewest hops.
    """
    neighbours = _switch_links(topology)

    def priority(name: str) -> int:
        declared = topology.nodes[name].priority
        return _DEFAULT_PRIORITY if declared is None else declared

    used: set[int] = set()
    seen: set[str] = set()
    for root in sorted(neighbours, key=priority):
        if root in seen:
            continue
        seen.add(root)
        queue = deque([root])
        while queue:
            for link, other in neighbours[queue.popleft()]:
                if other not in seen:
                    seen.add(other)
                    used.add(link)
                    queue.append(other)
    return {link for links in neighbours.values() for link, _ in links} - used


def _switch_links(topology: Topology) -> dict[str, list[tuple[int, str]]]:
    """Every switch, in the order of the nodes, to its (link number, switch at the other end)."""
    links: dict[str, list[tuple[int, str]]] = {name: [] for name, node in topology.nodes.items() if node.switch}
    for index, link in enumerate(topology.links):
        first, second = link.between
        if first in links and second in links:
            links[first].append((index, second))
            links[second].append((index, first))
    return links


class Paths(NamedTuple):
    """How a switch sends to the hosts of other switches.

    most: the links that most destinations leave by, any of them; others: switch to the links towards it, where they
    differ from `most`.
    """

    most: tuple[int, ...]
    others: dict[str, tuple[int, ...]]


def shortest_paths(topology: Topology) -> dict[str, Paths]:
    """For every switch, the links by which it reaches every other one that has hosts, over all shortest paths."""
    neighbours = _switch_links(topology)
    edges = {
        name
        for link in topology.links
        for name, other in (link.between, link.between[::-1])
        if name in neighbours and other not in neighbours
    }
    towards: dict[str, dict[str, tuple[int, ...]]] = {name: {} for name in neighbours}
    others = {name: [other for _, other in links] for name, links in neighbours.items()}
    for target in sorted(edges):
        distance = distances(others, [target])
        for name in distance:
            if name != target:
                nearer = distance[name] - 1
                links = tuple(link for link, other in neighbours[name] if distance.get(other) == nearer)
                towards[name][target] = links
    paths = {}
    for name, ways in towards.items():
        most = Counter(ways.values()).most_common(1)[0][0] if ways else ()
        paths[name] = Paths(most, {to: links for to, links in ways.items() if links != most})
    return paths


def distances(neighbours: Mapping[str, Sequence[str]], starts: Sequence[str]) -> dict[str, int]:
    """How many hops every node that can be reached is from the nearest of `starts`."""
    distance = dict.fromkeys(starts, 0)
    queue = deque(starts)
    while queue:
        name = queue.popleft()
        for other in neighbours[name]:
            if other not in distance:
                distance[other] = distance[name] + 1
                queue.append(other)
    return distance


def segment_addresses(topology: Topology) -> dict[tuple[int, int], str]:
    """(link number, end) to an interface address, for every host's end on a switch that has none declared.

    A segment has one subnet: what is declared in it decides which, else a /16 of 10.0.0.0/8 from above, or a /64 of
    fd00::/32 likewise. Raises InputError when a subnet is full.
    """
    segment_of = segments(topology)
    subnets = {name: _subnet(topology, number) for number, name in enumerate(dict.fromkeys(segment_of.values()))}
    declared: set[str] = set()
    taken: dict[str, set[int]] = {name: set() for name in subnets}
    without: list[tuple[str, int, int]] = []
    for index, end, switch in _host_ends(topology):
        link, segment = topology.links[index], segment_of[switch]
        if link.addresses is None:
            without.append((segment, index, end))
        elif (text := link.addresses[end]) is not None:
            interface = ipaddress.ip_interface(text)
            if segment not in declared:
                subnets[segment] = interface.network
            declared.add(segment)
            taken[segment].add(int(interface.ip))
    last = {name: int(network.network_address) for name, network in subnets.items()}
    addresses = {}
    for segment, index, end in without:
        network, number = subnets[segment], last[segment] + 1
        while number in taken[segment]:
            number += 1
        if number >= int(network.broadcast_address):
            got = f"no address is left in {network}"
            raise InputError("lay out the topology", got=got, todo="declare them")
        last[segment] = number
        addresses[index, end] = f"{ipaddress.ip_address(number)}/{network.prefixlen}"
    return addresses


def _subnet(topology: Topology, number: int) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if topology.family == "ipv6":
        return ipaddress.ip_network(f"fd00:0:1:{number & 0xFFFF:x}::/64")
    return ipaddress.ip_network(f"10.{255 - number % 128}.0.0/16")


def _host_ends(topology: Topology) -> Iterator[tuple[int, int, str]]:
    """(link number, end, the switch at the other end) of every end of a host on a switch."""
    for index, link in enumerate(topology.links):
        for end, name in enumerate(link.between):
            other = link.between[1 - end]
            if topology.is_switch(other) and not topology.is_switch(name):
                yield index, end, other
