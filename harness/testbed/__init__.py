"""A topology made real for the length of a `with`: namespaces, links, shaping, engines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.kernel import netns, probe
from harness.kernel.journal import Journal
from harness.spec.topology import Topology
from harness.store.record import Columns, QdiscRow
from harness.testbed import lent
from harness.testbed.emulated import check_shaping, emulated, observed
from harness.testbed.namespaces import explained, namespace, namespace_name, room_for
from harness.testbed.routing import routed
from harness.testbed.wiring import Wiring
from harness.topology.layout import Layout, PortLayout, plan_layout
from harness.topology.placed import refuse_here

_MANY = 32


@dataclass(frozen=True)
class NodeHandle:
    """One namespace of the testbed; `netns` is its name in `ip netns`, `fd` is the testbed's to close."""

    name: str
    netns: str
    netns_path: str
    fd: int
    ports: tuple[PortLayout, ...]


@dataclass(frozen=True)
class Testbed:
    """A running testbed. qdiscs: every declared qdisc, as asked for and as read back.

    hosts: node to facts of its host, where the nodes are on two. columns: of nodes.csv, what else nodes were made of.
    """

    token: str
    nodes: dict[str, NodeHandle]
    layout: Layout = field(repr=False)
    qdiscs: list[QdiscRow]
    hosts: dict[str, Columns] = field(default_factory=dict)
    columns: dict[str, Columns] = field(default_factory=dict)

    def address(self, node: str, seen_from: str | None = None) -> str:
        """The address by which `seen_from` reaches `node` in the fewest hops. Raises InputError: no path."""
        return self.layout.address(node, seen_from)


@contextlib.contextmanager
def open_testbed(topology: Topology, *, napi: bool, journal: Journal) -> Iterator[Testbed]:
    """Build the topology, give it to the block, remove it at the end; also when building fails half-way.

    napi: make every link busy-poll capable in both directions, and check that it is. Raises MissingError
    when the kernel lacks a declared qdisc or the privilege is missing, InputError when the topology cannot
    be laid out, PollbenchError when the kernel refuses something or reports it otherwise than asked for.
    """
    refuse_here(topology)
    with explained():
        netem = not topology.is_shaped() or probe.has_qdisc("netem")
    layout = plan_layout(topology, netem)
    with contextlib.ExitStack() as stack:
        stack.enter_context(room_for(layout, journal))
        if topology.engine == "mininet":
            layout, fds, qdiscs = _by_mininet(stack, layout, napi, journal)
        else:
            fds = _namespaces(stack, topology, journal)
            layout, qdiscs = _by_netlink(stack, layout, fds, napi, journal)
        nodes = {name: node_handle(name, journal.token, fds[name], layout.ports[name]) for name in topology.nodes}
        cards, routes = lent.columns(layout, fds), stack.enter_context(routed(layout, fds, journal))
        columns = {name: cards.get(name, {}) | routes.get(name, {}) for name in {**cards, **routes}}
        yield Testbed(journal.token, nodes, layout, qdiscs, columns=columns)


def _namespaces(stack: contextlib.ExitStack, topology: Topology, journal: Journal) -> dict[str, int]:
    """A namespace for every node, left with `stack`; of many all are made before the first is named and noted."""
    if len(topology.nodes) < _MANY:
        return {name: stack.enter_context(namespace(name, journal)) for name in topology.nodes}
    with explained(), netns.unnamed_many(len(topology.nodes)) as fresh:
        made = zip(topology.nodes, map(netns.path_of_fd, fresh), strict=True)
        return {name: stack.enter_context(namespace(name, journal, path)) for name, path in made}


def _by_netlink(
    stack: contextlib.ExitStack, layout: Layout, fds: dict[str, int], napi: bool, journal: Journal
) -> tuple[Layout, list[QdiscRow]]:
    """Make the layout in fresh namespaces; the layout as made, the declared qdiscs as read back."""
    layout = lent.with_own_addresses(layout)
    with explained(), Wiring(layout, fds) as wiring:
        wiring.prepare()
        stack.enter_context(lent.interfaces(layout, fds, napi, journal))
        wiring.connect()
        if napi:
            wiring.enable_napi()
        wiring.start()
        wiring.tune()
        qdiscs = wiring.shape()
        wiring.check_joining()
        wiring.check_carrier()
        if layout.topology.family == "ipv6":
            wiring.check_addresses()
        if napi:
            wiring.check_napi()
    return layout, qdiscs


def _by_mininet(
    stack: contextlib.ExitStack, layout: Layout, napi: bool, journal: Journal
) -> tuple[Layout, dict[str, int], list[QdiscRow]]:
    """Have Mininet make it; the layout as made, the namespaces of its nodes, the declared qdiscs as read back."""
    with explained():
        fds = stack.enter_context(emulated(layout, journal))
        layout = observed(layout, fds)
        with Wiring(layout, fds) as wiring:
            wiring.tune()
            wiring.limit_joining()
            wiring.check_joining()
            if napi:
                # TCLink has switched GRO off, and with it the NAPI of every veth.
                wiring.enable_napi()
            wiring.check_carrier()
            if napi:
                wiring.check_napi()
        return layout, fds, check_shaping(layout, fds)


def node_handle(node: str, token: str, fd: int, ports: tuple[PortLayout, ...]) -> NodeHandle:
    """The handle of a node whose namespace has been made."""
    name = namespace_name(token, node)
    return NodeHandle(node, name, netns.path_of(name), fd, ports)
