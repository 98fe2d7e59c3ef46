"""An interface of the host, lent to a run: moved into a namespace of ours, and given back as it was found."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import MissingError, PollbenchError
from harness.kernel import ifstate, links, netns, qdiscs
from harness.kernel.journal import Journal
from harness.kernel.netlink import NetlinkSocket
from harness.kernel.netns import in_netns

_ESTABLISHED = "01"


def why_not(device: str) -> str:
    """Why this interface of this thread's namespace is not lent; "" where it is. Raises OSError."""
    with NetlinkSocket() as sock, netns.sysfs_of(netns.HERE) as sysfs:
        known = {link.device: link for link in links.link_dump(sock)}
        if device not in known:
            return f"there is no such interface; there are: {', '.join(known)}"
        ifindex = known[device].ifindex
        if device == "eth0" or ifindex == links.LOOPBACK_IFINDEX:
            return "it may be what this host is reached by"
        for body in ifstate.routes(sock):
            uses, default = ifstate.leads_out_by(body, ifindex)
            if uses and default:
                return "a default route leads out by it"
            if uses and ifstate.is_shared(body):
                return "a route over several interfaces uses it"
        stacked = [
            name for name in sysfs.list(f"class/net/{device}") if name.startswith(("upper_", "master"))
        ]
        if stacked:
            return f"it is part of another interface ({stacked[0].partition('_')[2] or 'its master'})"
        if any(state.handle for state in qdiscs_of(ifindex)):
            return "it has a queueing discipline of somebody's, which would be lost"
        mine = ifstate.addresses_of(sock, ifindex)
    carried = _connections() & mine
    if carried:
        return f"a connection of this host is on it (to its address {min(map(str, carried))})"
    return ""


def qdiscs_of(ifindex: int) -> list[Any]:
    """The qdiscs of a device of this namespace; those that nobody chose have no handle."""
    from harness.kernel import readback

    with NetlinkSocket() as sock:
        return [
            state for state in readback.dump(sock) if state.ifindex == ifindex and state.kind in qdiscs.KINDS
        ]


def _connections() -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Local addresses of the established TCP connections of this thread's namespace: ssh's among them."""
    found: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/thread-self/net/{name}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == _ESTABLISHED:
                    found.add(_address(words[1].partition(":")[0]))
    return found


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """As /proc/net/tcp writes it: words of four bytes, in this machine's order."""
    raw = bytes.fromhex(text)
    packed = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@contextlib.contextmanager
def lend(device: str, name: str, journal: Journal) -> Iterator[int]:
    """Have the interface in the namespace `name` for the block, down, without addresses; its number there.

    Raises MissingError when it is not there or not to be lent, PollbenchError when it cannot be moved, or was not put
    back.
    """
    reason = why_not(device)
    if reason:
        raise MissingError("take the interface", device, reason, "name another in topology.nodes.*.interface")
    state = ifstate.capture(device)
    number = journal.note("interface", netns=name, state=state)
    try:
        yield _move_in(device, name)
    finally:
        try:
            wrong = ifstate.give_back(name, state)
        except OSError as error:
            wrong = [str(error)]
        if wrong:
            raise PollbenchError(
                "put back the interface", device, "; ".join(wrong), "then type: sudo pollbench clean"
            )
        journal.done(number)


def _move_in(device: str, name: str) -> int:
    fd = os.open(netns.path_of(name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        with NetlinkSocket() as sock:
            ifindex = socket.if_nametoindex(device)
            sock.batch([links.link_down(ifindex, device), links.move(ifindex, device, fd)])
        with in_netns(fd):
            return socket.if_nametoindex(device)
    except OSError as error:
        raise PollbenchError("take the interface", device, str(error)) from error
    finally:
        os.close(fd)
