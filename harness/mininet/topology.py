"""From Mininet's graph to a topology as an experiment file declares it: nodes, links, addresses, shaping."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from harness.errors import InputError
from harness.mininet.graph import AUTOMATIC, Graph, GraphLink, GraphNode, Refused, Section
from harness.mininet.options import (
    LinkEnd,
    has_stp,
    host_node,
    link_ends,
    played,
    shape_of,
    switch_node,
    without_unknown,
)

# Mininet's default for hosts without an address: ipBase.
_BASE = ipaddress.ip_network("10.0.0.0/8")
# The kernel's limit; Mininet names interfaces NODE-ethN, so its nodes' names are shorter yet.
_DEVICE_MAX = 15
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")


def document_of(graph: Graph, name: str, where: str, *, foreign: bool = False) -> Section:
    """The nodes and links in Mininet's order, and "stp" where a switch asks for it.

    foreign: Mininet itself will build it, so that options and classes which are not known are its own matter.

    Raises InputError, placed at `where`, for names that no namespace can have, and for options that are not known.
    """
    try:
        return _Translation(without_unknown(graph) if foreign else graph).document()
    except Refused as error:
        place = error.where or where
        raise InputError(f"take topology {name}", got=error.got, todo=error.todo, where=place) from None


class _Translation:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._switches = {node.name for node in graph.switches}
        self._hosts: dict[
            str, tuple[str | None, str | None]
        ] = {}  # address and hardware address, of the first interface
        self._ports: dict[str, dict[int, LinkEnd]] = {}

    def document(self) -> Section:
        nodes: dict[str, Section] = {}
        for number, host in enumerate(self._graph.hosts, 1):
            with _placed(host):
                _check_name(host.name, "host")
                options, done = played(host)
                nodes[host.name] = {**host_node(host.name, options), **done}
                ip = options.get("ip")
                address = None if ip == AUTOMATIC else _address(ip, number, host.name)
                self._hosts[host.name] = address, options.get("mac")
        for switch in self._graph.switches:
            with _placed(switch):
                _check_name(switch.name, "switch")
                nodes[switch.name] = switch_node(switch.name, switch.options)
        # All ends first: which port is a host's lowest decides who gets its address.
        ends = []
        for link in self._graph.links:
            with _placed(link):
                ends.append(self._ends(link))
        document: Section = {"nodes": nodes, "links": []}
        for link, both in zip(self._graph.links, ends, strict=True):
            with _placed(link):
                document["links"].append(self._link(both))
        if any(has_stp(switch.options) for switch in self._graph.switches):
            document["stp"] = True
        return document

    def _ends(self, link: GraphLink) -> tuple[LinkEnd, LinkEnd]:
        """Both ends, their ports and devices made sure of."""
        first, second = (link.options.get(f"node{end + 1}", name) for end, name in enumerate(link.ends))
        owner = f"link {first}-{second}"
        for name in (first, second):
            if name not in self._hosts and name not in self._switches:
                raise Refused(f"{owner}: there is no node {name!r}", "add it before the link")
        if first == second:
            raise Refused(f"{owner} joins a node with itself", "a link joins two nodes")
        ends = link_ends(link.options, owner, (first, second))
        for end in ends:
            self._take_port(end)
        return ends

    def _take_port(self, end: LinkEnd) -> None:
        port, name = end.port, end.node
        if isinstance(port, bool) or not isinstance(port, int) or port < 0:
            raise Refused(f"{end.link}: port {port!r} of {name}", "a port is a whole number from 0")
        taken = self._ports.setdefault(name, {})
        if port in taken:
            todo = "give every link a port of its own, or leave the ports out"
            raise Refused(f"{end.link}: port {port} of {name} is taken by {taken[port].link}", todo)
        taken[port] = end
        if len(end.device) > _DEVICE_MAX or not _NAME.fullmatch(end.device):
            got = f"{end.link}: {end.device!r} cannot name an interface (at most {_DEVICE_MAX} characters)"
            raise Refused(got, f"give {name} a shorter name, or the link an intfName")

    def _link(self, ends: tuple[LinkEnd, LinkEnd]) -> Section:
        link: Section = {
            "between": [end.node for end in ends],
            "devices": [end.device for end in ends],
            "ports": [end.port for end in ends],
        }
        macs = [end.mac or (self._hosts[end.node][1] if self._is_default(end) else None) for end in ends]
        addresses = [self._address_of(end) for end in ends]
        if any(macs):
            link["macs"] = macs
        if any(addresses):
            link["addresses"] = addresses
        shapes = zip(("forward", "reverse"), map(shape_of, ends), strict=True)
        return link | {key: shape for key, shape in shapes if shape is not None}

    def _is_default(self, end: LinkEnd) -> bool:
        """Is this the interface that Mininet configures with its host's address: the lowest port's?"""
        return end.node not in self._switches and end.port == min(self._ports[end.node])

    def _address_of(self, end: LinkEnd) -> str | None:
        if end.node in self._switches:
            return None
        # As in Mininet, the host's own address is given last, and so wins over params1/2's.
        if self._is_default(end) and self._hosts[end.node][0] is not None:
            return self._hosts[end.node][0]
        return _address(end.ip, 0, end.node) if end.ip else None


def _check_name(name: Any, kind: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        todo = "expected 1 to 15 of A-Z a-z 0-9 - _ . starting with a letter or digit"
        raise Refused(f"{kind} {str(name)[:40]!r} cannot name a node", todo)


@contextlib.contextmanager
def _placed(item: GraphNode | GraphLink) -> Iterator[None]:
    """Say of a Refused where its host, switch or link was added, if it does not know better."""
    try:
        yield
    except Refused as error:
        error.where = error.where or item.at
        raise


def _address(text: Any, number: int, host: str) -> str:
    """An address with its prefix: the given one (its prefix is 8 if it has none), or Mininet's number `number`."""
    if not text:
        return f"{_BASE.network_address + number}/{_BASE.prefixlen}"
    try:
        interface = ipaddress.ip_interface(text if "/" in str(text) else f"{text}/{_BASE.prefixlen}")
    except ValueError:
        raise Refused(f"host {host} has ip={text!r}", 'expected an address such as "10.0.0.1/24"') from None
    return str(interface)
