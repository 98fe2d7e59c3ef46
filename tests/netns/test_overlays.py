"""Links with a device on top of a veth pair, and netkit: as `ip` sees them, and what sockets on them receive."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from harness.kernel.netns import in_netns
from harness.kernel.overlays import is_known
from harness.run.counters import take
from harness.spec.links import LINK_KINDS, DevicePair, Overlay
from harness.testbed import Testbed as Bed
from tests.beds import bed, pair, run_in

KINDS = [kind for kind in LINK_KINDS.values() if isinstance(kind, Overlay | DevicePair) and kind.name != "veth"]
SO_INCOMING_NAPI_ID = 56
FULL = {"ipv4": 1472, "ipv6": 1452}  # bytes of a datagram that fills 1500
# What `ip -d` has to say of each; those of tunnels are of the wire's addresses.
SHOWN: dict[str, dict[str, Any]] = {
    "macvlan": {"mode": "bridge"},
    "ipvlan": {"mode": "l2"},
    "vxlan": {"id": 1000, "remote": "198.18.0.1", "local": "198.18.0.0", "port": 4789, "learning": False},
    "geneve": {"id": 1000, "remote": "198.18.0.1", "port": 6081},
    "gre": {"local": "198.18.0.0", "remote": "198.18.0.1"},
    "bond": {"mode": "active-backup"},
    "vrf": {"table": 1000},
}


def received(testbed: Bed, family: str) -> tuple[bytes, int]:
    """A full datagram from a to b, as it arrived, and the NAPI that the socket says it came by."""
    version = socket.AF_INET6 if family == "ipv6" else socket.AF_INET
    with in_netns(testbed.nodes["b"].fd):
        server = socket.socket(version, socket.SOCK_DGRAM)
    with in_netns(testbed.nodes["a"].fd):
        client = socket.socket(version, socket.SOCK_DGRAM)
    with server, client:
        server.settimeout(5)
        server.bind((testbed.address("b"), 0))
        client.sendto(b"7" * FULL[family], server.getsockname())
        return server.recv(2000), server.getsockopt(socket.SOL_SOCKET, SO_INCOMING_NAPI_ID)


def shown(testbed: Bed, device: str) -> dict[str, Any]:
    """What `ip` shows of a device of a."""
    (link,) = json.loads(run_in(testbed.nodes["a"], "ip", "-d", "-j", "link", "show", device))
    return dict(link)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_of_link(kind: Overlay | DevicePair, family: str) -> None:
    if not is_known(kind.device):
        pytest.skip(f"this kernel has no {kind.device} devices")
    with bed(pair(nic=kind.name, family=family), napi=True) as testbed:
        (port,) = testbed.nodes["a"].ports
        data, napi_id = received(testbed, family)
        assert len(data) == FULL[family]
        assert bool(napi_id) == kind.napi
        if port.over is not None:
            link = shown(testbed, port.over.device)
            assert link["linkinfo"]["info_kind"] == kind.device
            assert SHOWN.get(kind.name, {}).items() <= link["linkinfo"]["info_data"].items()
            assert shown(testbed, port.device)["mtu"] == 1500 + port.over.kind.header_bytes


def test_a_tunnels_own_datagrams_are_no_programs() -> None:
    """The kernel counts the one that is unpacked, and the one in it."""
    if not is_known("vxlan"):
        pytest.skip("this kernel has no vxlan devices")
    with bed(pair(nic="vxlan")) as testbed:
        counts = []
        for _ in range(2):
            counts.append(take(testbed.nodes, {}).nodes["b"]["Udp:InDatagrams"])
            received(testbed, "ipv4")
        assert counts[1] - counts[0] == 1
