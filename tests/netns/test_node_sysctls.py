"""Sysctls of a node: as sysctl reads them in its namespace, gone with it, and refused with what may be had."""

from __future__ import annotations

import pytest

from harness.errors import MissingError, PollbenchError
from harness.run import tcp_settings
from tests.beds import bed, run_in, topology


def test_a_node_has_its_own() -> None:
    declared = {
        "net.ipv4.tcp_congestion_control": "reno",
        "net.ipv4.tcp_rmem": "4096  131072 6291456",
        "net/ipv4/conf/eth0/proxy_arp": 1,
    }
    with bed(topology({"between": ["a", "b"]}, a={"sysctls": declared})) as testbed:
        a, b = testbed.nodes["a"], testbed.nodes["b"]
        assert run_in(a, "sysctl", "-n", "net.ipv4.tcp_congestion_control").strip() == "reno"
        assert run_in(a, "sysctl", "-n", "net.ipv4.tcp_rmem").split() == ["4096", "131072", "6291456"]
        assert run_in(a, "sysctl", "-n", "net.ipv4.conf.eth0.proxy_arp").strip() == "1"
        assert run_in(b, "sysctl", "-n", "net.ipv4.conf.eth0.proxy_arp").strip() == "0"
        columns = tcp_settings.read(testbed)
        assert (columns["a"]["tcp_congestion_control"], columns["a"]["tcp_rmem_bytes"]) == (
            "reno",
            "4096 131072 6291456",
        )
        assert columns["b"]["tcp_ecn"] == run_in(b, "sysctl", "-n", "net.ipv4.tcp_ecn").strip()


@pytest.mark.parametrize(
    ("name", "value", "kind", "words"),
    [
        # Of the whole host: writing it would reach beyond the testbed.
        ("net.core.busy_poll", "1", MissingError, "a network namespace has none of this name here"),
        ("net.ipv4.tcp_congestion_control", "nope", PollbenchError, "take one of reno"),
        ("net.ipv4.tcp_ecn", "77", PollbenchError, "Invalid argument"),
    ],
)
def test_what_a_namespace_does_not_take_is_named(name: str, value: str, kind: type[PollbenchError], words: str) -> None:
    with pytest.raises(kind) as raised, bed(topology({"between": ["a", "b"]}, a={"sysctls": {name: value}})):
        pass
    assert f"set {name} to {value} on a" in raised.value.line() and words in raised.value.line()
