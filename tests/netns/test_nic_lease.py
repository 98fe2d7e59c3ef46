"""Interfaces that are not lent: whatever a host may be reached by, or that something else is built on."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from harness.kernel import nic_lease
from harness.kernel.netns import in_netns

NAME = f"pbtest-{os.getpid()}-lent"


def ip(*words: str) -> None:
    subprocess.run(["ip", "-n", NAME, *words], check=True, capture_output=True)


@pytest.fixture
def host() -> Iterator[None]:
    """A namespace for a host: a0 with a default route, b0 with an address, c0 in a bridge, d0 with a qdisc, e0 free."""
    subprocess.run(["ip", "netns", "add", NAME], check=True)
    try:
        ip("link", "set", "lo", "up")
        for letter in "abcde":
            ip("link", "add", f"{letter}0", "type", "veth", "peer", "name", f"{letter}1")
            for end in (0, 1):
                ip("link", "set", f"{letter}{end}", "up")
        for number, letter in enumerate("abe"):
            ip("address", "add", f"192.0.2.{16 * number + 1}/28", "dev", f"{letter}0")
        ip("route", "add", "default", "via", "192.0.2.9")
        ip("link", "add", "lab", "type", "bridge")
        ip("link", "set", "c0", "master", "lab")
        subprocess.run(
            ["tc", "-n", NAME, "qdisc", "add", "dev", "d0", "root", "handle", "7:", "pfifo"], check=True
        )
        yield
    finally:
        subprocess.run(["ip", "netns", "delete", NAME], check=True)


@pytest.mark.usefixtures("host")
def test_what_the_host_needs_itself_is_not_lent() -> None:
    with in_netns(NAME):
        listener = socket.create_server(("192.0.2.17", 0))
        mine = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
        with listener, mine, other:
            assert "a default route leads out by it" in nic_lease.why_not("a0")
            assert "a connection of this host is on it (to its address 192.0.2.17)" in nic_lease.why_not("b0")
            assert "part of another interface" in nic_lease.why_not("c0")
            assert "queueing discipline of somebody's" in nic_lease.why_not("d0")
            assert nic_lease.why_not("e0") == ""
            assert "what this host is reached by" in nic_lease.why_not("lo")
            assert "there is no such interface; there are: lo, " in nic_lease.why_not("z0")
