"""Interfaces of this host in a testbed: lent to the namespaces of their nodes, and given back as they were."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from harness.kernel import ethtool, nic_lease
from harness.kernel.iproute import IpRoute, iproute
from harness.kernel.journal import Journal
from harness.kernel.netns import in_netns
from harness.spec.links import LINK_KINDS, HostNics
from harness.store.record import Columns
from harness.testbed.namespaces import namespace_name
from harness.topology.layout import Layout, PortLayout


def is_lent(port: PortLayout) -> bool:
    """Is its device an interface of the host?"""
    return isinstance(LINK_KINDS.get(port.nic), HostNics)


def with_own_addresses(layout: Layout) -> Layout:
    """The layout in which interfaces that are to be lent have the hardware addresses that they have."""
    if not any(is_lent(port) for pair in layout.links for port in pair):
        return layout
    with iproute() as ipr:
        here = ipr.interfaces()

    def real(port: PortLayout) -> PortLayout:
        if not is_lent(port) or port.device not in here:
            return port
        return port._replace(mac=bytes.fromhex(here[port.device].mac.replace(":", "")))

    return with_ports(layout, real)


def with_ports(layout: Layout, port: Callable[[PortLayout], PortLayout]) -> Layout:
    """The layout with each port in its place as `port` makes it."""
    members = {id(ports): tuple(map(port, ports)) for ports in layout.members.values()}
    return replace(
        layout,
        links=tuple((port(first), port(second)) for first, second in layout.links),
        ports={node: tuple(map(port, ports)) for node, ports in layout.ports.items()},
        members={switch: members[id(ports)] for switch, ports in layout.members.items()},
    )


@contextlib.contextmanager
def interfaces(layout: Layout, fds: Mapping[str, int], napi: bool, journal: Journal) -> Iterator[None]:
    """Have the interfaces in their nodes for the block, down, under the layout's numbers and MTUs.

    Raises MissingError for one that is not to be lent, PollbenchError, OSError.
    """
    with contextlib.ExitStack() as stack:
        ports = [port for pair in layout.links for port in pair if is_lent(port)]
        together = [port.device for port in ports]
        for port in ports:
            name = namespace_name(journal.token, port.node)
            stack.enter_context(nic_lease.lend(port.device, name, journal, port.ifindex, together))
            with in_netns(fds[port.node]), iproute() as ipr:
                prepare(ipr, port.device, layout.topology.links[port.link].mtu, napi)
        yield


def prepare(ipr: IpRoute, device: str, mtu: int | None, napi: bool) -> None:
    """Give a lent interface, which is down, its MTU; and one that has a NAPI only with certain features, these."""
    interface = ipr.interfaces()[device]
    if mtu is not None:
        ipr.set_link(f"set the MTU of {device} to {mtu}", interface.ifindex, mtu=mtu)
    if napi and interface.kind == "veth":
        ethtool.set_features(device, ethtool.VETH_NAPI_FEATURES)


def described(device: str) -> str:
    """An interface of this thread's namespace in words: its name, its driver, where it sits."""
    try:
        driver, bus = ethtool.driver(device)
    except OSError:
        return device
    return f"{device} ({driver}, {bus})" if bus else f"{device} ({driver})"


def columns(layout: Layout, fds: Mapping[str, int]) -> dict[str, Columns]:
    """Of nodes.csv: the nodes that have lent interfaces, and which."""
    names: dict[str, list[str]] = {}
    for port in (port for ports in layout.ports.values() for port in ports if is_lent(port)):
        with in_netns(fds[port.node]):
            names.setdefault(port.node, []).append(described(port.device))
    return {node: {"interface": ", ".join(words)} for node, words in names.items()}
