"""An interface of the host, lent to a run: moved into a namespace of ours, and given back as it was found."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Collection, Iterator

from harness.errors import MissingError, PollbenchError
from harness.kernel import identity, ifstate, netns, qdiscs, readback
from harness.kernel.hostfiles import HOST
from harness.kernel.iproute import IpRoute, iproute
from harness.kernel.journal import Journal
from harness.kernel.links import LOOPBACK_IFINDEX, IpAddress
from harness.kernel.netlink import NetlinkSocket
from harness.kernel.netns import in_netns

_ESTABLISHED = "01"
# The scope of addresses that others can send to: neither of loopback nor of one link alone.
_UNIVERSE = 0


def why_not(device: str, beside: Collection[str] = ()) -> str:
    """Why this interface of this thread's namespace is not lent; "" where it is. Raises OSError.

    beside: others that are lent together with it.
    """
    with iproute() as ipr:
        interfaces = ipr.interfaces()
        if device not in interfaces:
            return f"there is no such interface; there are: {', '.join(interfaces)}"
        ifindex = interfaces[device].ifindex
        if device == "eth0" or ifindex == LOOPBACK_IFINDEX:
            return "it may be what this host is reached by"
        if reason := _needed_by_a_route(ipr, ifindex):
            return reason
        with netns.sysfs_of(netns.HERE) as sysfs:
            entries = sysfs.list(f"class/net/{device}")
        stacked = [name for name in entries if name.startswith(("upper_", "master"))]
        if stacked:
            return f"it is part of another interface ({stacked[0].partition('_')[2] or 'its master'})"
        if _has_qdisc(ifindex):
            return "it has a queueing discipline of somebody's, which would be lost"
        everywhere = ipr.request("list addresses", "get_addr")
    addresses = [message for message in everywhere if message["index"] == ifindex]
    beyond = {message["index"] for message in everywhere if message["scope"] == _UNIVERSE}
    taken = {interfaces[name].ifindex for name in (device, *beside) if name in interfaces}
    if addresses and beyond <= taken:
        return "this host has no address elsewhere"
    own = {
        ipaddress.ip_address(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")) for message in addresses
    }
    carried = _connections() & own
    return f"a connection of this host is on it (to its address {min(map(str, carried))})" if carried else ""


def _needed_by_a_route(ipr: IpRoute, ifindex: int) -> str:
    """Why a route that somebody made keeps the interface here; "" where none does."""
    for family in (socket.AF_INET, socket.AF_INET6):
        for route in ipr.request("list routes", "get_routes", family=family):
            if not ifstate.is_made(route["table"], route["proto"], route["flags"]):
                continue
            hops = route.get_attr("RTA_MULTIPATH") or []
            if ifindex not in [route.get_attr("RTA_OIF"), *(hop["oif"] for hop in hops)]:
                continue
            if route["dst_len"] == 0:
                return "a default route leads out by it"
            if hops:
                return "a route over several interfaces uses it"
    return ""


def _has_qdisc(ifindex: int) -> bool:
    """Has the device a qdisc that somebody chose? Those that nobody chose have no handle."""
    with NetlinkSocket() as sock:
        states = [state for state in readback.dump(sock) if state.ifindex == ifindex]
    return any(state.handle and state.kind in qdiscs.KINDS for state in states)


def _connections() -> set[IpAddress]:
    """Local addresses of the established TCP connections of this thread's namespace: ssh's among them."""
    lines = [line for name in ("tcp", "tcp6") for line in HOST.lines(f"/proc/thread-self/net/{name}")[1:]]
    fields = [line.split() for line in lines]
    return {_address(local.partition(":")[0]) for _, local, _, state, *_ in fields if state == _ESTABLISHED}


def _address(text: str) -> IpAddress:
    """As /proc/net/tcp writes it: words of four bytes, in this machine's order."""
    raw = bytes.fromhex(text)
    packed = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@contextlib.contextmanager
def lend(device: str, name: str, journal: Journal, ifindex: int = 0, beside: Collection[str] = ()) -> Iterator[int]:
    """Have the interface in the namespace `name` for the block, down, without addresses; its number there.

    ifindex: the number that it is to have, if not 0; beside: others that are lent together with it. Raises MissingError
    when it is not there or not to be lent, PollbenchError when it cannot be moved, or was not put back.
    """
    reason = why_not(device, beside)
    if reason:
        raise MissingError("take the interface", device, reason, "name another interface")
    state = ifstate.capture(device)
    number = journal.note("interface", netns=name, inside=identity.of_name(name), state=state)
    try:
        yield _move_in(device, name, ifindex)
    finally:
        try:
            failures = ifstate.give_back(name, state)
        except OSError as error:
            failures = [str(error)]
        if failures:
            raise PollbenchError(
                "put back the interface", device, "; ".join(failures), "then type: sudo pollbench clean"
            )
        journal.done(number)


def _move_in(device: str, name: str, ifindex: int) -> int:
    number = {"new_ifindex": ifindex} if ifindex else {}
    try:
        with netns.opened(name) as fd:
            with iproute() as ipr:
                here = socket.if_nametoindex(device)
                ipr.set_link(f"set {device} down", here, state="down")
                ipr.set_link(f"move {device} to another namespace", here, net_ns_fd=fd, **number)
            with in_netns(fd):
                return socket.if_nametoindex(device)
    except OSError as error:
        if error.errno == errno.EINVAL:
            got = "this kind of device stays in the namespace in which it was made"
            raise MissingError("take the interface", device, got, "name another interface") from error
        raise PollbenchError("take the interface", device, str(error)) from error
