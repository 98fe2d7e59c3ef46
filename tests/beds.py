"""Small topologies for tests, written as in an experiment file, and commands run in a node of a testbed."""

from __future__ import annotations

import itertools
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.kernel.journal import open_journal
from harness.kernel.netns import in_netns
from harness.spec.topology import Topology
from harness.testbed import NodeHandle, open_testbed
from harness.testbed import Testbed as Bed


def topology(*links: dict[str, Any], family: str = "ipv4", **nodes: dict[str, Any]) -> Topology:
    """A topology of these links; nodes that need no declaration come from their links."""
    names = {name: nodes.get(name, {}) for link in links for name in link["between"]}
    return Topology.model_validate({"family": family, "nodes": names | nodes, "links": links})


def pair(**link: Any) -> Topology:
    """Two nodes, a and b, and one link."""
    family = link.pop("family", "ipv4")
    return topology({"between": ["a", "b"], **link}, family=family)


def chain(*names: str, family: str = "ipv4", **link: Any) -> Topology:
    """Nodes in a row."""
    links = [{"between": list(two), **link} for two in itertools.pairwise(names)]
    return topology(*links, family=family)


@contextmanager
def bed(of: Topology, napi: bool = False) -> Iterator[Bed]:
    """A testbed with a journal of its own."""
    with open_journal() as journal, open_testbed(of, napi=napi, journal=journal) as testbed:
        yield testbed


def run_in(node: NodeHandle, *command: str, check: bool = True) -> str:
    """The output of a command run in the node by iproute2: an independent witness of the namespace."""
    done = subprocess.run(
        ["ip", "netns", "exec", node.netns, *command], check=check, capture_output=True, text=True, timeout=30
    )
    return done.stdout


def greet(testbed: Bed, start: str, end: str, size: int = 64) -> None:
    """One datagram from `start` to `end` and one back; the first has to arrive, there is no second try."""
    address = testbed.address(end, seen_from=start)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with in_netns(testbed.nodes[end].fd):
        server = socket.socket(family, socket.SOCK_DGRAM)
    with in_netns(testbed.nodes[start].fd):
        client = socket.socket(family, socket.SOCK_DGRAM)
    with server, client:
        server.bind((address, 0))
        for each in (server, client):
            each.settimeout(1)
        client.connect(server.getsockname()[:2])
        client.send(bytes(size))
        data, sender = server.recvfrom(65536)
        assert len(data) == size
        server.sendto(data, sender)
        assert len(client.recv(65536)) == size
