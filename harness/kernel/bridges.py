"""The rtnetlink requests of switches: bridges and their ports, and routes over several links."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from harness.kernel.links import IpAddress, IpNetwork
from harness.kernel.netlink import NLM_F_CREATE, NLM_F_EXCL, Request, attr, attr_text, attr_u32, nest

_RTM_NEWLINK, _RTM_NEWROUTE = 16, 24
_IFLA_IFNAME, _IFLA_MASTER, _IFLA_LINKINFO = 3, 10, 18
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_BR_FORWARD_DELAY, _BR_STP_STATE, _BR_MCAST_SNOOPING = 1, 5, 23
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH = 1, 4, 5, 9
_RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_UNICAST = 254, 4, 1
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK = 0, 253
_RTNH_F_ONLINK = 4
_NEW = NLM_F_CREATE | NLM_F_EXCL

_IFINFO = struct.Struct("=BBHiII")
_RTMSG = struct.Struct("=BBBBBBBBI")
_NEXTHOP = struct.Struct("=HBBi")


def new_bridge(ifindex: int, device: str) -> Request:
    """A bridge (down) that forwards at once: no spanning tree, no snooping for multicast."""
    data = nest(
        _IFLA_INFO_DATA,
        attr_u32(_BR_FORWARD_DELAY, 0),
        attr_u32(_BR_STP_STATE, 0),
        attr(_BR_MCAST_SNOOPING, b"\0"),
    )
    body = (
        _IFINFO.pack(0, 0, 0, ifindex, 0, 0)
        + attr_text(_IFLA_IFNAME, device)
        + nest(_IFLA_LINKINFO, attr_text(_IFLA_INFO_KIND, "bridge"), data)
    )
    return Request(_RTM_NEWLINK, _NEW, body, f"create the bridge {device}")


def set_master(ifindex: int, master: int, device: str = "") -> Request:
    """Make the device a port of the bridge."""
    body = _IFINFO.pack(0, 0, 0, ifindex, 0, 0) + attr_u32(_IFLA_MASTER, master)
    return Request(_RTM_NEWLINK, 0, body, f"make {device or ifindex} a port of the bridge")


def new_fabric_route(to: IpNetwork, ifindexes: Sequence[int], gateway: IpAddress | None) -> Request:
    """A static IPv4 route over one or several devices (equal shares), through `gateway` behind each of them.

    gateway: taken to be there, whatever addresses the devices have (onlink); None for the host at the other end itself.
    """
    scope = _RT_SCOPE_UNIVERSE if gateway is not None else _RT_SCOPE_LINK
    head = (int(socket.AF_INET), to.prefixlen, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, scope, _RTN_UNICAST)
    flags = _RTNH_F_ONLINK if gateway is not None else 0
    destination = attr(_RTA_DST, to.network_address.packed) if to.prefixlen else b""
    via = attr(_RTA_GATEWAY, gateway.packed) if gateway is not None else b""
    if len(ifindexes) == 1:
        body = _RTMSG.pack(*head, flags) + destination + attr_u32(_RTA_OIF, ifindexes[0]) + via
    else:
        hops = b"".join(_NEXTHOP.pack(8 + len(via), flags, 0, ifindex) + via for ifindex in ifindexes)
        body = _RTMSG.pack(*head, 0) + destination + attr(_RTA_MULTIPATH, hops)
    return Request(_RTM_NEWROUTE, _NEW, body, f"add route {to} over {len(ifindexes)} device(s)")
