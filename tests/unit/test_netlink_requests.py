"""Our rtnetlink requests say what we mean: pyroute2, an independent reader of the wire, reads them back."""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from harness.kernel import ifstate, links, netlink
from harness.kernel.netlink import Request


def wire(request: Request) -> bytes:
    """The request as it would be sent."""
    return struct.pack("=IHHII", 16 + len(request.body), request.kind, request.flags, 1, 0) + request.body


def read(kind: type[Any], request: Request) -> Any:
    """The request as pyroute2 understands it."""
    message = kind(wire(request))
    message.decode()
    return message


def test_veth_request_names_both_ends() -> None:
    one = links.VethEnd(11, "eth0", 2, b"\2\0\0\0\0\1", queues=3, mtu=9000)
    other = links.VethEnd(12, "eth5", 7, b"\2\0\0\0\0\2", queues=3, mtu=9000)
    message = read(ifinfmsg, links.new_pair(one, other))
    peer = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", "VETH_INFO_PEER")
    assert message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") == "veth"
    for end, told in ((one, message), (other, peer)):
        assert told["index"] == end.ifindex
        assert told.get_attr("IFLA_IFNAME") == end.device
        assert told.get_attr("IFLA_NET_NS_FD") == end.netns_fd
        assert told.get_attr("IFLA_ADDRESS") == end.mac.hex(":")
        assert told.get_attr("IFLA_NUM_TX_QUEUES") == told.get_attr("IFLA_NUM_RX_QUEUES") == 3
        assert told.get_attr("IFLA_MTU") == 9000


def test_mtu_is_left_to_the_kernel_when_not_declared() -> None:
    end = links.VethEnd(11, "eth0", 2, bytes(6))
    assert read(ifinfmsg, links.new_pair(end, end)).get_attr("IFLA_MTU") is None


@pytest.mark.parametrize("text", ["10.1.2.3/24", "fd00:0:0:7::1/64"])
def test_address_neighbour_and_route(text: str) -> None:
    interface = ipaddress.ip_interface(text)
    ip = str(interface.ip)
    address = read(ifaddrmsg, links.new_address(5, interface))
    assert (address["index"], address["prefixlen"]) == (5, interface.network.prefixlen)
    assert address.get_attr("IFA_LOCAL") == address.get_attr("IFA_ADDRESS") == ip
    assert bool(address["flags"] & 0x02) == (interface.version == 6), "no duplicate address detection in IPv6"
    neighbour = read(ndmsg, links.new_neighbour(5, interface.ip, b"\2\0\0\0\0\1"))
    assert (neighbour["ifindex"], neighbour["state"]) == (5, 0x80)
    assert (neighbour.get_attr("NDA_DST"), neighbour.get_attr("NDA_LLADDR")) == (ip, "02:00:00:00:00:01")
    route = read(rtmsg, links.new_route(interface.network, [5], interface.ip))
    assert (route["dst_len"], route["table"], route["type"]) == (interface.network.prefixlen, 254, 1)
    assert route.get_attr("RTA_DST") == str(interface.network.network_address)
    assert (route.get_attr("RTA_GATEWAY"), route.get_attr("RTA_OIF")) == (ip, 5)


def test_default_route_has_no_destination() -> None:
    zero = ipaddress.ip_network("0.0.0.0/0")
    route = read(rtmsg, links.new_route(zero, [5], ipaddress.ip_address("10.0.0.1")))
    assert route["dst_len"] == 0
    assert route.get_attr("RTA_DST") is None


def test_link_up() -> None:
    message = read(ifinfmsg, links.link_up(3))
    assert (message["index"], message["flags"], message["change"]) == (3, 1, 1)


def test_a_route_by_a_nexthop_object_is_put_back_by_where_it_led() -> None:
    """The object is gone with the device, and the kernel refuses it beside a gateway."""
    gateway, network = ipaddress.ip_address("192.0.2.66"), ipaddress.ip_network("10.55.0.0/16")
    dumped = links.new_route(network, [5], gateway).body + netlink.attr_u32(30, 7)
    request = links.new_route(network, [5], gateway)._replace(body=ifstate.route_on(dumped, 8))
    route = read(rtmsg, request)
    assert (route.get_attr("RTA_OIF"), route.get_attr("RTA_GATEWAY")) == (8, "192.0.2.66")
    assert ifstate.route_on(dumped, 8) == links.new_route(network, [8], gateway).body


@given(st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=70)))
def test_attributes_round_trip(values: dict[int, bytes]) -> None:
    data = b"".join(netlink.attr(kind, payload) for kind, payload in values.items())
    assert len(data) % 4 == 0
    assert netlink.attrs(data) == values


@given(st.binary(max_size=60))
def test_any_bytes_are_read_without_harm(data: bytes) -> None:
    netlink.attrs(data)
