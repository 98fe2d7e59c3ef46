"""What a topology on two hosts may say: which hosts, by which interfaces, and nothing that only veth pairs have."""

from __future__ import annotations

from harness.spec.messages import Path, problem
from harness.spec.topology import Link, Topology
from harness.spec.yaml_tree import Tree

# By these names a host is usually reached, or reaches itself.
_NEVER = ("eth0", "lo")
_NODE_HAS_NOT = ("switch", "priority", "default_route", "cpu_share", "forwarding")


def check_hosts(topology: Topology, tree: Tree) -> None:
    """InputError unless no node names a host, or two nodes, joined by one plain link, name two."""
    for name, node in topology.nodes.items():
        path: Path = ("topology", "nodes", name)
        if node.host is None and node.interface is not None:
            raise problem(tree, (*path, "interface"), "the node names no host", "add host: NAME", key=True)
        if node.host is not None and node.interface is None:
            raise problem(tree, (*path, "host"), "the node names no interface", "add interface: NAME", key=True)
        if node.interface in _NEVER:
            got = f"{node.interface} is not lent: it may be what the host is reached by"
            raise problem(tree, (*path, "interface"), got, "name an interface that is there for measuring")
    hosts = topology.on_hosts()
    if not hosts:
        return
    where: Path = ("topology", "nodes", next(iter(hosts)), "host")
    if len(topology.nodes) != 2 or len(topology.links) != 1 or len(hosts) != 2:
        got = "a topology on hosts is two nodes, each on a host of its own, and the link between them"
        raise problem(tree, where, got, "name a host and an interface for both, and one link", key=True)
    if len(set(hosts.values())) != 2:
        raise problem(tree, where, "both nodes are on this host", "leave host and interface out, or name two")
    for name, node in topology.nodes.items():
        for key in _NODE_HAS_NOT:
            if key in node.model_fields_set:
                got = f"{key} is nothing that a node on a host of its own can have"
                raise problem(tree, ("topology", "nodes", name, key), got, "leave it out", key=True)
    _check_link(topology.links[0], tree)


def _check_link(link: Link, tree: Tree) -> None:
    path: Path = ("topology", "links", 0)
    for direction in ("shape", "forward", "reverse"):
        if getattr(link, {"forward": "own_forward", "reverse": "own_reverse"}.get(direction, direction)):
            got = "a real wire between two hosts is not shaped"
            raise problem(tree, (*path, direction), got, "leave it out", key=True)
    for key in ("devices", "macs", "ports", "queues", "nic"):
        if key in link.model_fields_set:
            got = f"{key} is the interfaces' own here"
            raise problem(tree, (*path, key), got, "leave it out; the interface is as its host has it", key=True)
