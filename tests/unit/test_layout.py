"""Addresses and routes: every pair of nodes that a chain of forwarding nodes joins can reach each other."""

from __future__ import annotations

import ipaddress
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.spec.topology import Topology
from harness.topology.layout import Layout, plan_layout
from harness.topology.path_loss import round_trip_loss


def layout(links: list[Any], family: str = "ipv4", **nodes: Any) -> Layout:
    """A layout from pairs of node names, or links as in the file."""
    written = [link if isinstance(link, dict) else {"between": link} for link in links]
    names = {name: nodes.get(name, {}) for link in written for name in link["between"]}
    return plan_layout(Topology.model_validate({"family": family, "nodes": names | nodes, "links": written}))


def travel(plan: Layout, start: str, address: str) -> list[str]:
    """The nodes that a packet to `address` passes, by the routes alone, up to its delivery or drop."""
    here, path = start, [start]
    to = ipaddress.ip_address(address)
    while not any(port.interface.ip == to for port in plan.ports[here]):
        if here != start and not plan.forwarding[here]:
            return [*path, "not forwarded"]
        direct = [plan.peer(port) for port in plan.ports[here] if to in port.interface.network]
        routes = sorted(plan.routes(here), key=lambda route: -route.to.prefixlen)
        routed = [route for route in routes if to in route.to]
        if direct:
            here = direct[0].node
        elif routed:
            (port,) = (each for each in plan.ports[here] if (each.ifindex,) == routed[0].ifindexes)
            assert plan.peer(port).interface.ip == routed[0].gateway
            here = plan.peer(port).node
        else:
            return [*path, "no route"]
        path.append(here)
        assert len(path) < 50, "a loop"
    return path


def test_a_pair_needs_no_route() -> None:
    plan = layout([("a", "b")])
    assert plan.routes("a") == plan.routes("b") == []
    assert (plan.address("a"), plan.address("b")) == ("10.0.0.1", "10.0.0.2")


def test_two_hops() -> None:
    plan = layout([("a", "r"), ("r", "b")])
    assert travel(plan, "a", plan.address("b", "a")) == ["a", "r", "b"]
    assert travel(plan, "b", plan.address("a", "b")) == ["b", "r", "a"]
    assert plan.address("r", "a") == "10.0.0.2"
    assert plan.address("r", "b") == "10.0.1.1"


def test_a_node_told_not_to_forward_is_no_way_through() -> None:
    plan = layout([("a", "r"), ("r", "b")], r={"forwarding": "off"})
    with pytest.raises(InputError, match=r"a -> b.*forward"):
        plan.address("b", "a")
    assert plan.routes("a") == []


def test_the_shorter_way_is_taken() -> None:
    plan = layout([("a", "r1"), ("r1", "r2"), ("r2", "b"), ("a", "r3"), ("r3", "b")])
    assert travel(plan, "a", plan.address("b", "a")) == ["a", "r3", "b"]


def test_parallel_links_have_their_own_ports() -> None:
    plan = layout([("a", "b"), ("a", "b")])
    assert [port.device for port in plan.ports["a"]] == ["eth0", "eth1"]
    assert len({port.interface.network for port in plan.ports["a"]}) == 2
    assert len({port.mac for ports in plan.ports.values() for port in ports}) == 4


def test_ipv6() -> None:
    plan = layout([("a", "r"), ("r", "b")], family="ipv6")
    assert plan.address("b", "a") == "fd00:0:0:1::2"
    assert travel(plan, "a", "fd00:0:0:1::2") == ["a", "r", "b"]


def test_automatic_addresses_keep_clear_of_declared_ones() -> None:
    plan = layout([{"between": ["a", "b"], "addresses": ["10.0.0.9/16", "10.0.0.8/16"]}, ("b", "c")])
    assert plan.address("b", "a") == "10.0.0.8"
    assert plan.address("c", "b") == "10.1.0.2"


def test_a_node_without_links_has_no_address() -> None:
    plan = layout([("a", "b")], alone={})
    assert plan.ports["alone"] == ()
    with pytest.raises(InputError, match="no link"):
        plan.address("alone")


def test_ipv6_refuses_a_small_mtu() -> None:
    with pytest.raises(InputError, match="1280"):
        layout([{"between": ["a", "b"], "mtu": 1000}], family="ipv6")


NAMES = "abcdefg"
edges = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).filter(lambda pair: pair[0] != pair[1]),
    min_size=1,
    max_size=14,
)


@given(edges, st.sets(st.sampled_from(NAMES)))
def test_every_joined_pair_is_reached_by_the_fewest_hops(pairs: list[tuple[str, str]], silent: set[str]) -> None:
    joined = {name for pair in pairs for name in pair}
    told: dict[str, Any] = {name: {"forwarding": "off"} for name in silent & joined}
    plan = layout(list(pairs), **told)
    for start, end in itertools.permutations(sorted(joined), 2):
        hops = distance(plan, pairs, start, end)
        if hops is None:
            with pytest.raises(InputError):
                plan.address(end, start)
        else:
            path = travel(plan, start, plan.address(end, start))
            assert path[-1] == end
            assert len(path) - 1 == hops


def distance(plan: Layout, pairs: list[tuple[str, str]], start: str, end: str) -> int | None:
    """Hops on the shortest path whose inner nodes forward; None when there is none. The plain way."""
    reached, frontier = {start: 0}, [start]
    while frontier:
        node = frontier.pop(0)
        if node != start and not plan.forwarding[node]:
            continue
        for pair in pairs:
            for here, there in (pair, pair[::-1]):
                if here == node and there not in reached:
                    reached[there] = reached[node] + 1
                    frontier.append(there)
    return reached.get(end)


def test_loss_adds_up_along_the_path_and_back() -> None:
    """a - r - b, and c beside r: 10 % each way on one link, 20 % one way on the next; c's link is on no path."""
    lossy: list[Any] = [
        {"between": ["a", "r"], "shape": {"loss": "10%"}},
        {"between": ["r", "b"], "reverse": {"loss": "20%"}},
        {"between": ["c", "r"], "shape": {"loss": "50%"}},
        {"between": ["a", "d"]},
    ]
    topology = layout(lossy).topology
    assert round_trip_loss(topology, "a", "b") == pytest.approx(1 - 0.9 * 0.8 * 0.9)
    assert round_trip_loss(topology, "b", "a") == pytest.approx(1 - 0.9 * 0.8 * 0.9)
    assert round_trip_loss(topology, "a", "d") == 0.0
    assert round_trip_loss(topology, "d", "b") == pytest.approx(1 - 0.9 * 0.8 * 0.9)


def test_of_equal_paths_the_most_lossy_counts() -> None:
    links: list[Any] = [["a", "x"], ["x", "b"], ["a", "y"], {"between": ["y", "b"], "forward": {"loss": "3%"}}]
    assert round_trip_loss(layout(links).topology, "a", "b") == pytest.approx(0.03)
