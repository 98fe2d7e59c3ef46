"""Counters around a run, on real links."""

from __future__ import annotations

import os
import socket

from harness.kernel.journal import open_journal
from harness.kernel.netns import in_netns
from harness.run import counters
from harness.spec.topology import Topology
from harness.testbed import open_testbed

NARROW = {"rate": "1mbit", "burst": "2kB", "queue": "5ms"}


def test_what_a_shaper_drops_is_counted() -> None:
    topology = Topology.model_validate(
        {"nodes": {"a": {}, "b": {}}, "links": [{"between": ["a", "b"], "shape": NARROW}]}
    )
    with open_journal() as journal, open_testbed(topology, napi=False, journal=journal) as testbed:
        before = counters.take(testbed.nodes, {}, shaped=True)
        with in_netns(testbed.nodes["a"].fd):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender:
            for _ in range(100):
                sender.sendto(bytes(1000), (testbed.address("b"), 9))
        after = counters.take(testbed.nodes, {}, shaped=True)
        found = counters.subtract(after, before, {0}, {os.getpid()})
    assert 50 < found.counter("a", "qdisc:drops") < 100
    assert found.counter("b", "qdisc:drops") == 0
