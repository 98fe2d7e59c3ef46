"""Devices on top of other devices (tunnels, macvlan, bonds, ...): made, and read back, by rtnetlink."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from harness.kernel.links import IFINFO, IFLA_ADDRESS, IFLA_IFNAME, IFLA_LINKINFO, IFLA_MTU, RTM_GETLINK, RTM_NEWLINK
from harness.kernel.netlink import (
    NLM_F_NEW,
    NetlinkError,
    NetlinkSocket,
    Request,
    attr,
    attr_text,
    attr_u32,
    attrs,
    nest,
    u32,
)
from harness.kernel.netns import throw_away

_IFLA_LINK, _IFLA_NET_NS_FD, _IFLA_INFO_KIND, _IFLA_INFO_DATA = 5, 28, 1, 2
_UP_WITH_CARRIER = 0x1 | 0x10000  # IFF_UP, IFF_LOWER_UP
_RTM_NEWRULE, _FRA_PRIORITY, _FRA_TABLE, _TO_TABLE = 32, 6, 15, 1
# After the local table, before the one of devices in routing tables of their own and the main one.
_RULE_PRIORITY = 500


class OverlayEnd(NamedTuple):
    """A device to be made: what the kernel calls its kind, its name, number, hardware address (empty: none) and MTU.

    below: the number of the device that it names, 0 for none; data: its attributes of IFLA_INFO_DATA, by number;
    netns_fd: the namespace that it is made in, None for that of the socket that asks.
    """

    kind: str
    device: str
    ifindex: int
    mac: bytes
    mtu: int | None
    below: int
    data: Mapping[int, bytes]
    netns_fd: int | None = None


def new_overlay(end: OverlayEnd) -> Request:
    """Make the device, down."""
    body = IFINFO.pack(0, 0, 0, end.ifindex, 0, 0) + attr_text(IFLA_IFNAME, end.device)
    body += attr(IFLA_ADDRESS, end.mac) if end.mac else b""
    body += attr_u32(IFLA_MTU, end.mtu) if end.mtu is not None else b""
    body += attr_u32(_IFLA_LINK, end.below) if end.below else b""
    body += attr_u32(_IFLA_NET_NS_FD, end.netns_fd) if end.netns_fd is not None else b""
    data = [nest(_IFLA_INFO_DATA, *(attr(number, value) for number, value in end.data.items()))] if end.data else []
    body += nest(IFLA_LINKINFO, attr_text(_IFLA_INFO_KIND, end.kind), *data)
    return Request(RTM_NEWLINK, NLM_F_NEW, body, f"create the {end.kind} {end.device}")


def differences(sock: NetlinkSocket, end: OverlayEnd) -> list[str]:
    """In what the device differs from what it was to be, in words; a carrier that it lacks among them.

    Raises NetlinkError, ENODEV where it is not there.
    """
    request = Request(RTM_GETLINK, 0, IFINFO.pack(0, 0, 0, end.ifindex, 0, 0), f"look at {end.device}")
    (answer,) = sock.ask(request)
    own, flags = attrs(answer, IFINFO.size), IFINFO.unpack_from(answer)[4]
    info = attrs(own.get(IFLA_LINKINFO, b""))
    data = attrs(info.get(_IFLA_INFO_DATA, b""))
    kind = info.get(_IFLA_INFO_KIND, b"").rstrip(b"\0").decode()
    wrong = [f"it is {kind or 'of no kind'}"] if kind != end.kind else []
    if end.mac and own.get(IFLA_ADDRESS) != end.mac:
        wrong.append(f"its hardware address is {own.get(IFLA_ADDRESS, b'').hex(':')}")
    if end.mtu is not None and u32(own[IFLA_MTU]) != end.mtu:
        wrong.append(f"its MTU is {u32(own[IFLA_MTU])}")
    if end.below and u32(own.get(_IFLA_LINK, bytes(4))) != end.below:
        wrong.append("it is on top of another device")
    for number, value in end.data.items():
        if data.get(number) != value:
            wrong.append(f"attribute {number} is {data.get(number, b'').hex() or 'absent'} instead of {value.hex()}")
    if flags & _UP_WITH_CARRIER != _UP_WITH_CARRIER:
        wrong.append("it has no carrier")
    return wrong


def new_rule(table: int, family: str) -> Request:
    """Have every route of the namespace looked up in this table first, after that of its own addresses."""
    version = socket.AF_INET6 if family == "ipv6" else socket.AF_INET
    head = bytes((version, 0, 0, 0, 0, 0, 0, _TO_TABLE)) + bytes(4)
    body = head + attr_u32(_FRA_PRIORITY, _RULE_PRIORITY) + attr_u32(_FRA_TABLE, table)
    return Request(_RTM_NEWRULE, NLM_F_NEW, body, f"look up routes in table {table}")


@cache
def is_known(kind: str) -> bool:
    """Has this kernel devices of the kind? Asked by making one without saying more; a module is loaded for it.

    Raises OSError: EPERM without root.
    """
    with throw_away(), NetlinkSocket() as sock:
        try:
            sock.batch([new_overlay(OverlayEnd(kind, "pbprobe2", 0, b"", None, 0, {}))])
        except NetlinkError as error:
            if error.errno == errno.EPERM:
                raise
            # What lacks a device below it, or the other end, is refused otherwise.
            return error.errno != errno.EOPNOTSUPP
    return True
