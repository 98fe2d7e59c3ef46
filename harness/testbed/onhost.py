"""This host's end of a topology on two hosts: an interface lent to a namespace of ours, with its address."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from harness.errors import MissingError
from harness.kernel import ethtool, links, netdev, nic_lease
from harness.kernel.hostfiles import HOST, sysctl_file
from harness.kernel.iproute import iproute
from harness.kernel.journal import Journal
from harness.kernel.netlink import NetlinkSocket
from harness.kernel.netns import in_netns
from harness.signals import pause
from harness.spec.topology import Topology
from harness.testbed import Testbed, addressing, lent, node_handle
from harness.testbed.namespaces import explained, namespace, namespace_name
from harness.topology.layout import PortLayout, plan_layout

# A card negotiates its link anew whenever it is set up.
_CARRIER_S, _PAUSE_S = 20.0, 0.005


@contextlib.contextmanager
def open_end(topology: Topology, here: str, *, napi: bool, journal: Journal) -> Iterator[Testbed]:
    """The node `here` with its interface up and addressed, for the block; afterwards the interface is as it was.

    The testbed has this one node; its layout has both, so that it knows the other's address. Raises MissingError when
    the interface is not there, not to be lent, without carrier, or without the NAPI that is needed; PollbenchError.
    """
    layout = plan_layout(topology)
    port = layout.ports[here][0]
    with contextlib.ExitStack() as stack:
        fd = stack.enter_context(namespace(here, journal))
        ifindex = stack.enter_context(nic_lease.lend(port.device, namespace_name(journal.token, here), journal))
        with explained(), in_netns(fd), NetlinkSocket() as sock:
            for key, value in addressing.sysctls(layout, here):
                HOST.write(sysctl_file(key), value)
            _set_up(sock, port, ifindex, topology.links[0].mtu, napi)
        node = node_handle(here, journal.token, fd, (port._replace(ifindex=ifindex, nic="host"),))
        yield Testbed(journal.token, {here: node}, layout, [])


def _set_up(sock: NetlinkSocket, port: PortLayout, ifindex: int, mtu: int | None, napi: bool) -> None:
    with iproute() as ipr:
        lent.prepare(ipr, port.device, mtu, napi)
        ipr.set_link("set lo up", links.LOOPBACK_IFINDEX, state="up")
        ipr.set_link(f"set {port.device} up", ifindex, state="up")
    sock.batch([links.new_address(ifindex, port.interface)])
    deadline = time.monotonic() + _CARRIER_S
    while not (ethtool.link_detected(port.device) and links.is_local(sock, port.interface.ip)):
        if time.monotonic() > deadline:
            got = f"no carrier within {_CARRIER_S:.0f} s"
            raise MissingError("bring up the interface", port.device, got, "is the cable in, the other end up?")
        pause(_PAUSE_S)
    # Before Linux 6.8 none are listed: the run's own evidence shows it.
    if napi and netdev.napis_of(ifindex) == []:
        got = "it has no NAPI, so that nothing can be busy-polled on it"
        raise MissingError("use the interface", port.device, got, "name another, or see its driver")


def hardware_address(testbed: Testbed) -> str:
    """Of this end's interface, as hexadecimal digits."""
    (node,) = testbed.nodes.values()
    with in_netns(node.fd), iproute() as ipr:
        return ipr.interfaces()[node.ports[0].device].mac.replace(":", "")


def described(testbed: Testbed) -> str:
    """This end's interface in words: its name, its driver, where it sits."""
    (node,) = testbed.nodes.values()
    with in_netns(node.fd):
        return lent.described(node.ports[0].device)


def know(testbed: Testbed, mac: str) -> None:
    """Make the other end's neighbour entry permanent: no packet waits for ARP, and none checks it again meanwhile."""
    (node,) = testbed.nodes.values()
    port = node.ports[0]
    peer = testbed.layout.ports[port.peer_node][0].interface.ip
    with explained(), in_netns(node.fd), iproute() as ipr:
        entry = {"dst": str(peer), "lladdr": bytes.fromhex(mac).hex(":"), "state": "permanent"}
        ipr.request(f"add neighbour {peer}", "neigh", "replace", ifindex=port.ifindex, **entry)
