"""The rtnetlink requests a testbed is made of: veth pairs, bridges, addresses, neighbours, routes."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.kernel.netlink import (
    NLM_F_DUMP,
    NLM_F_NEW,
    NetlinkSocket,
    Request,
    attr,
    attr_text,
    attr_u32,
    attrs,
    nest,
    u32,
)
from harness.kernel.netns import in_netns

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IpInterface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

LOOPBACK_IFINDEX = 1

RTM_NEWLINK, RTM_GETLINK, _RTM_NEWADDR, _RTM_NEWROUTE, _RTM_GETROUTE, _RTM_NEWNEIGH = 16, 18, 20, 24, 26, 28
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, _IFLA_MASTER, IFLA_LINKINFO = 1, 3, 4, 10, 18
_IFLA_STATS64, _IFLA_NET_NS_FD, _IFLA_NUM_TX_QUEUES, _IFLA_NUM_RX_QUEUES = 23, 28, 31, 32
_IFLA_NEW_IFINDEX = 49
IPV4_SIZES = {"gso_ipv4_max_size": 63, "gro_ipv4_max_size": 64}
SIZES = {"gso_max_segs": 40, "gso_max_size": 41, "gro_max_size": 58} | IPV4_SIZES
"""The attributes of a device that bound what its offloads make: segments of a packet, and bytes, sent and received.

Those of IPv4 alone come last: where one of all packets is set to 65536 or less, the kernel sets its own to the same.
"""
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_F_NODAD = 1, 2, 0x02
_BR_FORWARD_DELAY, _BR_STP_STATE, _BR_MCAST_SNOOPING = 1, 5, 23
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH = 1, 4, 5, 9
_RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_UNICAST, _RTN_LOCAL = 254, 4, 1, 2
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK = 0, 253
_RTNH_F_ONLINK = 4
_NDA_DST, _NDA_LLADDR, _NUD_PERMANENT = 1, 2, 0x80
_IFF_UP = 1

IFINFO = struct.Struct("=BBHiII")
_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
_NDMSG = struct.Struct("=BBHiHBB")
_NEXTHOP = struct.Struct("=HBBi")
_FAMILY = {4: int(socket.AF_INET), 6: int(socket.AF_INET6)}

# The counters of struct rtnl_link_stats64, in its order.
_STATISTICS = (
    "rx_packets tx_packets rx_bytes tx_bytes rx_errors tx_errors rx_dropped tx_dropped multicast collisions "
    "rx_length_errors rx_over_errors rx_crc_errors rx_frame_errors rx_fifo_errors rx_missed_errors tx_aborted_errors "
    "tx_carrier_errors tx_fifo_errors tx_heartbeat_errors tx_window_errors rx_compressed tx_compressed rx_nohandler"
)


class VethEnd(NamedTuple):
    """One end of a veth pair: where it is born and as what. mac: 6 bytes; mtu None: the kernel's 1500."""

    netns_fd: int
    device: str
    ifindex: int
    mac: bytes
    queues: int = 1
    mtu: int | None = None


def new_pair(
    end: VethEnd,
    peer: VethEnd,
    kind: str = "veth",
    attribute: int = _VETH_INFO_PEER,
    options: Mapping[int, int] | None = None,
) -> Request:
    """Two devices joined back to back, either born (down) in its own namespace, under the ifindex we choose.

    kind: what the kernel calls such a device, which takes the other end as `attribute` of its data, besides `options`.
    Both ends say their queue counts: said on one end only, the other gets as many queues as there are CPUs.
    """
    further = [attr_u32(number, value) for number, value in (options or {}).items()]
    data = nest(_IFLA_INFO_DATA, nest(attribute, _veth_end(peer)), *further)
    body = _veth_end(end) + nest(IFLA_LINKINFO, attr_text(_IFLA_INFO_KIND, kind), data)
    return Request(RTM_NEWLINK, NLM_F_NEW, body, f"create the {kind} pair {end.device} - {peer.device}")


def _veth_end(end: VethEnd) -> bytes:
    queues = attr_u32(_IFLA_NUM_TX_QUEUES, end.queues) + attr_u32(_IFLA_NUM_RX_QUEUES, end.queues)
    return IFINFO.pack(0, 0, 0, end.ifindex, 0, 0) + _place(end) + queues + _address_and_mtu(end)


def _place(end: VethEnd) -> bytes:
    return attr_text(IFLA_IFNAME, end.device) + attr_u32(_IFLA_NET_NS_FD, end.netns_fd)


def _address_and_mtu(end: VethEnd) -> bytes:
    return attr(IFLA_ADDRESS, end.mac) + (attr_u32(IFLA_MTU, end.mtu) if end.mtu is not None else b"")


def _change(ifindex: int, attributes: bytes, attempted: str) -> Request:
    """Change a device of the socket's namespace."""
    return Request(RTM_NEWLINK, 0, IFINFO.pack(0, 0, 0, ifindex, 0, 0) + attributes, attempted)


def adopt(ifindex: int, end: VethEnd) -> Request:
    """Move a device of the socket's namespace to where a veth end would be born, under its name and ifindex."""
    return _change(ifindex, _place(end) + attr_u32(_IFLA_NEW_IFINDEX, end.ifindex), f"move a NIC to be {end.device}")


def set_address(end: VethEnd) -> Request:
    """Give an adopted device its hardware address and MTU."""
    return _change(end.ifindex, _address_and_mtu(end), f"give {end.device} its address")


def set_master(ifindex: int, master: int, device: str) -> Request:
    """Make the device a port of the bridge, the bond or the VRF with the number `master`."""
    return _change(ifindex, attr_u32(_IFLA_MASTER, master), f"make {device} a port of device {master}")


def link_up(ifindex: int, device: str = "") -> Request:
    """Set the device up."""
    body = IFINFO.pack(0, 0, 0, ifindex, _IFF_UP, _IFF_UP)
    return Request(RTM_NEWLINK, 0, body, f"set {device or ifindex} up")


def limit_joining(ifindex: int, device: str, segments: int, joined_bytes: int) -> Request:
    """Have senders hand the device packets of so many frames at most, and its NAPI join no more bytes; 0: as it is.

    The offloads are left alone: without GRO a veth has no NAPI.
    """
    attributes = attr_u32(SIZES["gso_max_segs"], segments) if segments else b""
    attributes += attr_u32(SIZES["gro_max_size"], joined_bytes) if joined_bytes else b""
    return _change(ifindex, attributes, f"limit the packets of {device} to {segments} frames")


def segment_limits(sock: NetlinkSocket) -> dict[int, int]:
    """How many frames a packet sent by each device of the namespace may hold, by ifindex. Raises NetlinkError."""
    answers = sock.ask(Request(RTM_GETLINK, NLM_F_DUMP, IFINFO.pack(0, 0, 0, 0, 0, 0), "list the devices"))
    return {IFINFO.unpack_from(answer)[3]: u32(attrs(answer, IFINFO.size)[SIZES["gso_max_segs"]]) for answer in answers}


def new_bridge(ifindex: int, device: str) -> Request:
    """A bridge (down) that forwards at once: no spanning tree, no snooping for multicast."""
    options = attr_u32(_BR_FORWARD_DELAY, 0), attr_u32(_BR_STP_STATE, 0), attr(_BR_MCAST_SNOOPING, b"\0")
    info = nest(IFLA_LINKINFO, attr_text(_IFLA_INFO_KIND, "bridge"), nest(_IFLA_INFO_DATA, *options))
    body = IFINFO.pack(0, 0, 0, ifindex, 0, 0) + attr_text(IFLA_IFNAME, device) + info
    return Request(RTM_NEWLINK, NLM_F_NEW, body, f"create the bridge {device}")


def new_address(ifindex: int, address: IpInterface) -> Request:
    """An address, without duplicate address detection (IPv6): usable as soon as it is there."""
    packed = address.ip.packed
    flags = _IFA_F_NODAD if address.version == 6 else 0
    head = _IFADDR.pack(_FAMILY[address.version], address.network.prefixlen, flags, 0, ifindex)
    body = head + attr(_IFA_LOCAL, packed) + attr(_IFA_ADDRESS, packed)
    return Request(_RTM_NEWADDR, NLM_F_NEW, body, f"add address {address}")


def new_neighbour(ifindex: int, address: IpAddress, mac: bytes) -> Request:
    """A permanent neighbour entry."""
    head = _NDMSG.pack(_FAMILY[address.version], 0, 0, ifindex, _NUD_PERMANENT, 0, 0)
    body = head + attr(_NDA_DST, address.packed) + attr(_NDA_LLADDR, mac)
    return Request(_RTM_NEWNEIGH, NLM_F_NEW, body, f"add neighbour {address}")


def new_route(to: IpNetwork, ifindexes: Sequence[int], gateway: IpAddress | None, onlink: bool = False) -> Request:
    """A static route in the main table over one or several devices (equal shares), through `gateway` behind each.

    to: with prefix length 0 it is the default route. gateway: None for the host at the other end itself; onlink: taken
    to be there, whatever addresses the devices have.
    """
    scope = _RT_SCOPE_UNIVERSE if gateway is not None else _RT_SCOPE_LINK
    head = (_FAMILY[to.version], to.prefixlen, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, scope, _RTN_UNICAST)
    flags = _RTNH_F_ONLINK if onlink and gateway is not None else 0
    destination = attr(_RTA_DST, to.network_address.packed) if to.prefixlen else b""
    via = attr(_RTA_GATEWAY, gateway.packed) if gateway is not None else b""
    if len(ifindexes) == 1:
        body = _RTMSG.pack(*head, flags) + destination + attr_u32(_RTA_OIF, ifindexes[0]) + via
    else:
        hops = b"".join(_NEXTHOP.pack(8 + len(via), flags, 0, ifindex) + via for ifindex in ifindexes)
        body = _RTMSG.pack(*head, 0) + destination + attr(_RTA_MULTIPATH, hops)
    way = f"over {len(ifindexes)} device(s)" if onlink else f"via {gateway}"
    return Request(_RTM_NEWROUTE, NLM_F_NEW, body, f"add route {to} {way}")


def is_local(sock: NetlinkSocket, address: IpAddress) -> bool:
    """Whether the socket's namespace takes packets to this address as its own. Raises NetlinkError."""
    head = _RTMSG.pack(_FAMILY[address.version], address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    request = Request(_RTM_GETROUTE, 0, head + attr(_RTA_DST, address.packed), f"look up the route to {address}")
    return any(_RTMSG.unpack_from(body)[7] == _RTN_LOCAL for body in sock.ask(request))


def sizes(sock: NetlinkSocket, ifindex: int) -> dict[str, int]:
    """The SIZES of a device of the socket's namespace, as far as this kernel tells them. Raises NetlinkError."""
    body = IFINFO.pack(0, 0, 0, ifindex, 0, 0)
    (answer,) = sock.ask(Request(RTM_GETLINK, 0, body, f"look at device {ifindex}"))
    told = attrs(answer, IFINFO.size)
    return {name: u32(told[number]) for name, number in SIZES.items() if number in told}


def set_size(ifindex: int, name: str, value: int) -> Request:
    """Change one of the SIZES of a device of the socket's namespace."""
    return _change(ifindex, attr_u32(SIZES[name], value), f"set {name} of device {ifindex} to {value}")


def link_stats(netns: int | str | Path) -> dict[str, dict[str, int]]:
    """The interface counters of a namespace by device: rx_packets, tx_dropped, ... Raises OSError."""
    with in_netns(netns), NetlinkSocket() as sock:
        return link_statistics(sock)


def link_statistics(sock: NetlinkSocket, ifindex: int = 0) -> dict[str, dict[str, int]]:
    """The counters of every device of the socket's namespace (or of one) by the kernel's names, by device.

    Raises NetlinkError (ENODEV: there is no such device).
    """
    attempted = f"look at device {ifindex}" if ifindex else "list the devices"
    body = IFINFO.pack(0, 0, 0, ifindex, 0, 0)
    answers = sock.ask(Request(RTM_GETLINK, 0 if ifindex else NLM_F_DUMP, body, attempted))
    return dict(_statistics(attrs(answer, IFINFO.size)) for answer in answers)


def _statistics(attributes: dict[int, bytes]) -> tuple[str, dict[str, int]]:
    counts = attributes.get(_IFLA_STATS64, b"")
    values = struct.unpack_from(f"={len(counts) // 8}Q", counts)
    return attributes[IFLA_IFNAME].rstrip(b"\0").decode(), dict(zip(_STATISTICS.split(), values, strict=False))
