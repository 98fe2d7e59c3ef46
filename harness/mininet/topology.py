"""From Mininet's graph to a topology as an experiment file declares it: nodes, links, addresses, shaping."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from harness.errors import InputError
from harness.mininet.load import Graph
from harness.mininet.options import (
    BadOption,
    has_stp,
    host_node,
    link_ends,
    played,
    shape_of,
    switch_node,
    without_unknown,
)

Document = dict[str, Any]

# Mininet's default for hosts without an address: ipBase.
_BASE = ipaddress.ip_network("10.0.0.0/8")
# The kernel's limit; Mininet names interfaces NODE-ethN, so its nodes' names are shorter yet.
_DEVICE_MAX = 15
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")


def document_of(graph: Graph, name: str, where: str, *, foreign: bool = False) -> Document:
    """{"nodes", "links"} as in a file, in Mininet's order, "stp" where a switch asks for it, and "at": where each link
    was added, "" where unknown.

    foreign: Mininet itself will build it, so that options and classes which are not known are its own matter.

    Raises InputError, placed at `where`, for names that no namespace can have, and for options that are not known.
    """
    try:
        return _Translation(without_unknown(graph) if foreign else graph).document()
    except BadOption as error:
        place = error.where or where
        raise InputError(f"take topology {name}", got=error.got, todo=error.todo, where=place) from None


class _Translation:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._switches = {item["name"] for item in graph["switches"]}
        self._names = {item["name"] for item in (*graph["hosts"], *graph["switches"])}
        self._addresses: dict[str, str | None] = {}
        self._macs: dict[str, str | None] = {}
        self._ports: dict[str, dict[int, Any]] = {}
        self._first: dict[str, int] = {}

    def document(self) -> Document:
        nodes: dict[str, Any] = {}
        for number, host in enumerate(self._graph["hosts"], 1):
            with _placed(host):
                self._check_name(host["name"], "host")
                options, done = played(host)
                nodes[host["name"]] = host_node(host["name"], options) | done
                self._addresses[host["name"]] = _address(options.get("ip"), number, host["name"])
                self._macs[host["name"]] = options.get("mac")
        for switch in self._graph["switches"]:
            with _placed(switch):
                self._check_name(switch["name"], "switch")
                nodes[switch["name"]] = switch_node(switch["name"], switch["opts"])
        stp = any(has_stp(switch["opts"]) for switch in self._graph["switches"])
        # All ends first: which port is a host's lowest decides who gets its address.
        ends, links = [], []
        for link in self._graph["links"]:
            with _placed(link):
                ends.append(self._ends(link))
        for link, both in zip(self._graph["links"], ends, strict=True):
            with _placed(link):
                links.append(self._link(*both))
        places = [str(link.get("at", "")) for link in self._graph["links"]]
        return {"nodes": nodes, "links": links, "at": places} | ({"stp": True} if stp else {})

    def _check_name(self, name: Any, kind: str) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            todo = "expected 1 to 15 of A-Z a-z 0-9 - _ . starting with a letter or digit"
            raise BadOption(f"{kind} {str(name)[:40]!r} cannot name a node", todo)

    def _ends(self, link: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The options of both ends, each with its node, and its port and device made sure of."""
        names = [link["opts"].get("node1", link["ends"][0]), link["opts"].get("node2", link["ends"][1])]
        what = f"link {names[0]}-{names[1]}"
        for name in names:
            if name not in self._names:
                raise BadOption(f"{what}: there is no node {name!r}", "add it before the link")
        if names[0] == names[1]:
            raise BadOption(f"{what} joins a node with itself", "a link joins two nodes")
        both = link_ends(link["opts"], what)
        for own, name in zip(both, names, strict=True):
            own["node"], own["what"] = name, what
            self._take_port(own, name, what)
        return both

    def _take_port(self, own: dict[str, Any], name: str, what: str) -> None:
        port = own["port"]
        if isinstance(port, bool) or not isinstance(port, int) or port < 0:
            raise BadOption(f"{what}: port {port!r} of {name}", "a port is a whole number from 0")
        taken = self._ports.setdefault(name, {})
        if port in taken:
            todo = "give every link a port of its own, or leave the ports out"
            raise BadOption(f"{what}: port {port} of {name} is taken by {taken[port]['what']}", todo)
        taken[port] = own
        self._first[name] = min(taken)
        own["device"] = str(own["device"] or f"{name}-eth{port}")
        if len(own["device"]) > _DEVICE_MAX or not _NAME.fullmatch(own["device"]):
            got = f"{what}: {own['device']!r} cannot name an interface (at most {_DEVICE_MAX} characters)"
            raise BadOption(got, f"give {name} a shorter name, or the link an intfName")

    def _link(self, *ends: dict[str, Any]) -> Document:
        addresses = [self._address_of(own) for own in ends]
        made: Document = {
            "between": [own["node"] for own in ends],
            "devices": [own["device"] for own in ends],
            "ports": [own["port"] for own in ends],
        }
        macs = [own["mac"] or self._mac_of(own) for own in ends]
        if any(macs):
            made["macs"] = macs
        if any(addresses):
            made["addresses"] = addresses
        for key, own in zip(("forward", "reverse"), ends, strict=True):
            shape = shape_of(own, own["node"], own["what"])
            if shape is not None:
                made[key] = shape
        return made

    def _is_default(self, own: dict[str, Any]) -> bool:
        """Is this the interface that Mininet configures with its host's address: the lowest port's?"""
        return own["node"] not in self._switches and own["port"] == self._first[own["node"]]

    def _address_of(self, own: dict[str, Any]) -> str | None:
        if own["node"] in self._switches:
            return None
        # As in Mininet, the host's own address is given last, and so wins over params1/2's.
        if self._is_default(own):
            return self._addresses[str(own["node"])]
        return _address(own["ip"], 0, own["node"]) if own.get("ip") else None

    def _mac_of(self, own: dict[str, Any]) -> str | None:
        return self._macs[str(own["node"])] if self._is_default(own) else None


@contextlib.contextmanager
def _placed(item: Document) -> Iterator[None]:
    """Say of a BadOption where its host, switch or link was added, if it does not know better."""
    try:
        yield
    except BadOption as error:
        error.where = error.where or str(item.get("at", ""))
        raise


def _address(text: Any, number: int, host: str) -> str | None:
    """An address with its prefix: the given one (its prefix is 8 if it has none), or Mininet's number `number`."""
    if not text:
        return f"{_BASE.network_address + number}/{_BASE.prefixlen}"
    try:
        interface = ipaddress.ip_interface(text if "/" in str(text) else f"{text}/{_BASE.prefixlen}")
    except ValueError:
        raise BadOption(f"host {host} has ip={text!r}", 'expected an address such as "10.0.0.1/24"') from None
    return str(interface)
