"""How many frames a packet may hold: where links look at packets, and upstream of them."""

from __future__ import annotations

from typing import Any

import pytest

from harness.topology.layout import Layout, plan_layout
from tests.beds import pair, topology


def limits(layout: Layout) -> dict[str, tuple[int, int]]:
    """(frames sent in a packet, frames joined of what is received) of each port that has a limit, by its way."""
    ports = [port for of_node in layout.ports.values() for port in of_node]
    return {
        f"{port.node} to {port.peer_node}": (port.segments, port.joins) for port in ports if port.segments or port.joins
    }


@pytest.mark.parametrize(
    ("shape", "segments"),
    [
        ({"rate": "100mbit"}, 1),
        ({"rate": "1gbit"}, 1),
        ({"rate": "100mbit", "method": "htb"}, 1),
        # As many as its bucket lets through at once: 50 us of the rate.
        ({"rate": "10gbit"}, 41),
        ({"rate": "2gbit"}, 8),
        ({"rate": "1gbit", "method": "htb"}, 4),
        # tbf keeps those 50 us besides its largest packet, also of a bucket that was asked for.
        ({"rate": "1gbit", "method": "tbf"}, 4),
        ({"rate": "100mbit", "burst": "50kB"}, 32),
        ({"rate": "20gbit"}, 0),
        # What looks at packets one by one.
        ({"rate": "20gbit", "queue_packets": 100}, 1),
        ({"rate": "20gbit", "qdisc": {"kind": "pfifo", "limit": 20}}, 1),
        ({"loss": "1%"}, 1),
        ({"delay": "1ms", "jitter": "1ms"}, 1),
        ({"delay": "1ms", "limit": 20}, 1),
        # What does not.
        ({"delay": "1ms"}, 0),
        ({"qdisc": {"kind": "bfifo", "limit": 10000}}, 0),
    ],
)
def test_a_port_sends_packets_of_what_its_shape_can_tell_apart(shape: dict[str, Any], segments: int) -> None:
    expected = {"a to b": (segments, 0)} if segments else {}
    assert limits(plan_layout(pair(forward=shape))) == expected


def test_whoever_sends_to_what_forwards_keeps_its_limit() -> None:
    """A bridge cannot take apart what reaches it joined; what only receives may join as ever."""
    links = [{"between": ["a", "s"]}, {"between": ["s", "t"]}, {"between": ["t", "b"], "forward": {"loss": "1%"}}]
    made = topology(*links, s={"switch": True}, t={"switch": True})
    assert limits(plan_layout(made)) == {
        "t to b": (1, 0),
        "t to s": (0, 1),
        "s to t": (1, 0),
        "s to a": (0, 1),
        "a to s": (1, 0),
    }


def test_nothing_is_limited_where_nothing_looks_at_packets() -> None:
    assert limits(plan_layout(pair(shape={"delay": "1ms"}))) == limits(plan_layout(pair())) == {}
