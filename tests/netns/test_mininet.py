"""Topologies of Mininet's kind by our own engine: every host reaches every other, over bridges and over routes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from harness.errors import MissingError
from harness.kernel.links import link_stats
from harness.spec.generated import Generator
from harness.spec.messages import Mistakes
from harness.spec.topology import Topology
from harness.spec.yaml_tree import tree_of
from harness.testbed import Testbed as Bed
from harness.testbed.addressing import HASH_SEED
from tests.beds import bed, greet, run_in, topology

TOPOS = Path(__file__).parents[1] / "topos"
NAMES: list[tuple[str, dict[str, Any]]] = [
    ("minimal", {}),
    ("reversed,3", {}),
    ("linear,4", {}),
    ("tree,2,3", {}),
    ("tree,2,3", {"switching": "route"}),
    ("torus,3,3", {"stp": True}),
    ("torus,3,3", {"switching": "route"}),
    (f"{TOPOS}/campus.py:campus", {}),
    (f"{TOPOS}/datacenter.py", {"switching": "route"}),
    (f"{TOPOS}/ports.py", {}),
    (f"{TOPOS}/wan.py:Wan", {}),
    (f"{TOPOS}/ring.py", {}),
    (f"{TOPOS}/factory.py:Server", {}),
    (f"{TOPOS}/routers.py:sites", {}),
    ("mininet.examples.linuxrouter:NetworkTopo", {}),
    ("mininet.examples.linearbandwidth:LinearTestTopo", {"args": {"N": 4}}),
    ("mininet.examples.multilink:simpleMultiLinkTopo", {"args": {"n": 1}}),
]


def named(name: str, **more: Any) -> Topology:
    """A Mininet topology as nodes and links."""
    tree = Generator().topology(tree_of({"mininet": name} | more, "test:1:1"), Mistakes())
    return Topology.model_validate(tree.plain())


def everybody_greets(testbed: Bed, hosts: list[str]) -> None:
    """One datagram there and back between any two."""
    for one, other in itertools.combinations(hosts, 2):
        greet(testbed, one, other)


@pytest.mark.parametrize(("name", "more"), NAMES, ids=[f"{n.split('/')[-1]}{m or ''}" for n, m in NAMES])
def test_every_host_reaches_every_other(name: str, more: dict[str, Any]) -> None:
    made = named(name, **more)
    with bed(made, napi=True) as testbed:
        everybody_greets(testbed, made.hosts())


def test_switches_in_a_file_and_routers_between_segments() -> None:
    made = topology(
        {"between": ["a", "s1"]},
        {"between": ["b", "s1"], "shape": {"rate": "100mbit"}},
        {"between": ["r", "s1"]},
        {"between": ["r", "s2"]},
        {"between": ["c", "s2"]},
        {"between": ["c", "far"]},
        s1={"switch": True},
        s2={"switch": True},
    )
    with bed(made) as testbed:
        everybody_greets(testbed, ["a", "b", "c", "r"])
        greet(testbed, "a", "far")
        assert "s1" in run_in(testbed.nodes["s1"], "ip", "-br", "link", "show", "type", "bridge")


def test_ipv6_over_a_switch() -> None:
    links = [{"between": [name, "s1"]} for name in "abc"]
    with bed(topology(*links, family="ipv6", s1={"switch": True})) as testbed:
        everybody_greets(testbed, ["a", "b", "c"])


def test_equal_paths_share_the_flows() -> None:
    """Sixteen flows between two hosts of a ring of four switches: both ways round carry some."""
    made = named("torus,3,3", switching="route")
    with bed(made) as testbed:
        for _ in range(24):
            greet(testbed, "h1x1", "h2x2")
        sent = link_stats(testbed.nodes["s1x1"].fd)
        busy = [name for name, counted in sent.items() if counted["tx_packets"] > 1 and name != "s1x1-eth1"]
        assert len(busy) == 2, sent


def test_a_fat_tree_uses_all_its_core_switches() -> None:
    """Flows between two pods, which differ in their ports alone, go by every one of the four core switches."""
    if not Path("/proc/sys", HASH_SEED.replace(".", "/")).exists():
        pytest.skip("switches hash alike before Linux 6.11")
    path = Path(__file__).parents[2] / "topologies" / "fat_tree.py"
    with bed(named(str(path), switching="route")) as testbed:
        for _ in range(48):
            greet(testbed, "h0x0x0", "h3x1x1")
        for core in ("c0", "c1", "c2", "c3"):
            carried = sum(counted["rx_packets"] for counted in link_stats(testbed.nodes[core].fd).values())
            assert carried >= 2, core


def test_a_link_out_of_the_tree_stays_idle() -> None:
    with bed(named("torus,3,3", stp=True)) as testbed:
        everybody_greets(testbed, ["h1x1", "h2x2", "h3x3"])
        idle = testbed.layout.idle
        for link in idle:
            port = testbed.layout.links[link][0]
            counted = link_stats(testbed.nodes[port.node].fd)[port.device]
            assert counted["tx_packets"] + counted["rx_packets"] == 0


def test_mininets_addresses_names_and_shaping_are_seen_by_others() -> None:
    with bed(named(f"{TOPOS}/ports.py")) as testbed:
        told = run_in(testbed.nodes["left"], "ip", "-br", "addr", "show", "eno1")
        assert "192.168.7.10/24" in told
        assert "00:00:00:00:07:10" in run_in(testbed.nodes["left"], "ip", "-br", "link")
    with bed(named(f"{TOPOS}/campus.py:small")) as testbed:
        told = run_in(testbed.nodes["pc000"], "tc", "-d", "qdisc", "show", "dev", "pc000-eth0")
        assert "htb" in told and "pfifo" in told and "limit 50p" in told
        told = run_in(testbed.nodes["pc000"], "tc", "class", "show", "dev", "pc000-eth0")
        assert "rate 10Mbit" in told and "burst 15" in told


def test_a_declared_default_route_is_there() -> None:
    with bed(named(f"{TOPOS}/wan.py:Wan")) as testbed:
        assert "default via 172.16.0.1" in run_in(testbed.nodes["a1"], "ip", "route")


def test_delay_wants_netem() -> None:
    made = named(f"{TOPOS}/wan.py:LongHaul")
    try:
        with bed(made) as testbed:
            assert "netem" in run_in(testbed.nodes["h1"], "tc", "qdisc")
    except MissingError as error:
        assert "netem" in error.line()
