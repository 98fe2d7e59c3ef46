"""Which programs a node's routing takes, and to which networks they have to find ways."""

from __future__ import annotations

from pathlib import Path

from harness.spec.routing import Routing
from harness.testbed.routing import networks, programs_of
from harness.topology.layout import plan_layout
from tests.beds import chain

FRR = """\
hostname r1
router ospf
 network 10.0.0.0/8 area 0
router bgp 65001
! router rip
ip route 10.9.0.0/16 blackhole
"""


def test_the_daemons_of_frr_that_a_configuration_is_for() -> None:
    programs = programs_of(Routing(frr=FRR))
    assert [Path(program).name for program in programs] == ["zebra", "ospfd", "bgpd", "staticd"]
    assert set(programs.values()) == {"frr"}


def test_a_daemon_is_waited_for_until_it_knows_every_other_subnet() -> None:
    topology = chain("a", "b", "c", "d")
    assert list(map(str, networks(plan_layout(topology), "a"))) == ["10.0.1.0/24", "10.0.2.0/24"]
    nodes = {"a": topology.nodes["a"].model_copy(update={"routing": Routing(bird="x\n", until=("10.9.0.0/16",))})}
    declared = plan_layout(topology.model_copy(update={"nodes": topology.nodes | nodes}))
    assert list(map(str, networks(declared, "a"))) == ["10.9.0.0/16"]
    given = nodes["a"].model_copy(update={"routing": Routing(bird="x\n"), "routes": {"10.0.2.0/24": "10.0.0.2"}})
    beside = plan_layout(topology.model_copy(update={"nodes": topology.nodes | {"a": given}}))
    assert list(map(str, networks(beside, "a"))) == ["10.0.1.0/24"]
    # Its own are the daemon's to make; the others' are still computed.
    assert declared.routes("a") == [] and declared.routes("d") != []
