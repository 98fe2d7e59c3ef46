"""What a routing daemon of a node cannot be declared with."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from harness.errors import InputError
from harness.spec.messages import Path, problem
from harness.spec.routing import DAEMONS
from harness.spec.topology import Topology
from harness.spec.yaml_tree import Tree


def routing_mistakes(topology: Topology, tree: Tree) -> Iterator[InputError]:
    """Everything of the kind in the nodes of a topology."""
    for name, node in topology.nodes.items():
        routing, path = node.routing, ("topology", "nodes", name, "routing")
        if routing is None:
            continue
        given = [key for key in DAEMONS if getattr(routing, key) is not None]
        if len(given) != 1:
            got = f"{' and '.join(given)} are both its routing daemon" if given else "it names no routing daemon"
            yield problem(tree, path, got, 'write e.g. "bird: FILE", the configuration of one', key=True)
        if node.switch:
            yield problem(tree, path, f'"{name}" is a switch', "a router is a node that is none", key=True)
        for key in ("initcwnd", "initrwnd"):
            if getattr(node, key) is not None:
                got = f"{key} is written into routes, and these are the routing daemon's"
                yield problem(tree, (*path[:-1], key), got, "leave it out, or have the daemon set it", key=True)
        yield from _until(topology, routing.until or (), tree, (*path, "until"))


def _until(topology: Topology, networks: tuple[str, ...], tree: Tree, path: Path) -> Iterator[InputError]:
    for number, network in enumerate(networks):
        if f"ipv{ipaddress.ip_network(network).version}" != topology.family:
            got = f"{network} is not of the topology's family, {topology.family}"
            yield problem(tree, (*path, number), got, "name networks of that family")
