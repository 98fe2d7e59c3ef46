"""A testbed held open: the names of its nodes, as one of them knows them."""

from __future__ import annotations

from harness.testbed.addressing import hosts_file


def test_a_node_is_known_by_its_nearest_address() -> None:
    addresses = {
        "a": ["10.0.0.1/24"],
        "router": ["10.1.0.1/24", "10.0.0.2/24"],
        "b": ["10.1.0.2/24", "10.2.0.1/24"],
        "s1": [],
    }
    assert hosts_file(addresses, "a") == "10.0.0.1\ta\n10.0.0.2\trouter\n10.1.0.2\tb\n"
    assert hosts_file(addresses, "b") == "10.0.0.1\ta\n10.1.0.1\trouter\n10.1.0.2\tb\n"
    assert hosts_file(addresses, "s1") == "10.0.0.1\ta\n10.1.0.1\trouter\n10.1.0.2\tb\n"
