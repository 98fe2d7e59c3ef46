"""Routes as the kernel has them: whose they are, where they lead, and what TCP takes from them."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from harness.kernel.netlink import NLM_F_DUMP, NetlinkSocket, Request, attr, attr_u32, attrs, nest, u32

_RTM_NEWROUTE, _RTM_GETROUTE, _NLM_F_REPLACE, _NLM_F_CREATE = 24, 26, 0x100, 0x400
_RTMSG = struct.Struct("=BBBBBBBBI")
_RTN_UNICAST, _TABLE_LOCAL, _RTM_F_CLONED, _RTNH_F_ONLINK = 1, 255, 0x200, 4
_RTA_DST, _RTA_GATEWAY, _RTA_METRICS, _RTA_MULTIPATH, _RTA_CACHEINFO = 1, 5, 8, 9, 12
# Of the kernel itself, of commands at boot, and of administrators; routing daemons have numbers above.
_RTPROT_STATIC = 4
_NEXTHOP = struct.Struct("=H6x")
_LINK_LOCAL = b"\xfe\x80"
_INITCWND, _INITRWND = 11, 14


class FirstWindows(NamedTuple):
    """RTAX_INITCWND and RTAX_INITRWND in segments; 0: the kernel's own (10, and what the buffer allows)."""

    initcwnd: int = 0
    initrwnd: int = 0


def unicast_routes(sock: NetlinkSocket, family: str) -> list[bytes]:
    """The routes of the socket's namespace to other hosts, of all tables, as the kernel has them. Raises NetlinkError.

    Without those of IPv6's link-local addresses, which come by themselves and later. family: ipv4 or ipv6.
    """
    number = socket.AF_INET6 if family == "ipv6" else socket.AF_INET
    answers = sock.ask(
        Request(_RTM_GETROUTE, NLM_F_DUMP, _RTMSG.pack(number, 0, 0, 0, 0, 0, 0, 0, 0), "list the routes")
    )
    heads = ((_RTMSG.unpack_from(answer), answer) for answer in answers)
    return [
        answer
        for (_, _, _, _, table, _, _, kind, flags), answer in heads
        if kind == _RTN_UNICAST
        and table != _TABLE_LOCAL
        and not flags & _RTM_F_CLONED
        and not attrs(answer, _RTMSG.size).get(_RTA_DST, b"").startswith(_LINK_LOCAL)
    ]


class MadeRoute(NamedTuple):
    """A route that a program made: to which network, through which gateways (none: it is at the other end)."""

    to: ipaddress.IPv4Network | ipaddress.IPv6Network
    gateways: tuple[str, ...]

    def text(self) -> str:
        """As a table has it."""
        return f"{self.to} via {', '.join(self.gateways)}" if self.gateways else f"{self.to}"


def made_by_daemons(sock: NetlinkSocket, family: str) -> list[MadeRoute]:
    """The routes of the socket's namespace that neither the kernel nor a command made, sorted. Raises NetlinkError."""
    routes = []
    for answer in unicast_routes(sock, family):
        _, length, _, _, _, protocol, *_ = _RTMSG.unpack_from(answer)
        if protocol <= _RTPROT_STATIC:
            continue
        attributes = attrs(answer, _RTMSG.size)
        packed = attributes.get(_RTA_DST, bytes(16 if family == "ipv6" else 4))
        hops = [attributes, *_hops(attributes.get(_RTA_MULTIPATH, b""))]
        gateways = (ipaddress.ip_address(hop[_RTA_GATEWAY]) for hop in hops if _RTA_GATEWAY in hop)
        routes.append(MadeRoute(ipaddress.ip_network((packed, length)), tuple(map(str, gateways))))
    return sorted(routes, key=lambda route: (route.to.prefixlen, route.to, route.gateways))


def _hops(data: bytes) -> Iterator[dict[int, bytes]]:
    """The attributes of each way of a route over several."""
    while len(data) >= _NEXTHOP.size:
        (length,) = _NEXTHOP.unpack_from(data)
        yield attrs(data[:length], _NEXTHOP.size)
        data = data[max(length, _NEXTHOP.size) :]


def first_windows(route: bytes) -> FirstWindows:
    """What a route says of the first windows of its connections."""
    metrics = attrs(attrs(route, _RTMSG.size).get(_RTA_METRICS, b""))
    return FirstWindows(*(u32(metrics[number]) if number in metrics else 0 for number in (_INITCWND, _INITRWND)))


def with_first_windows(route: bytes, windows: FirstWindows) -> Request:
    """The route once more, in its own place, with these windows."""
    *head, flags = _RTMSG.unpack_from(route)
    own = {number: value for number, value in attrs(route, _RTMSG.size).items() if number != _RTA_CACHEINFO}
    others = {
        number: value
        for number, value in attrs(own.pop(_RTA_METRICS, b"")).items()
        if number not in (_INITCWND, _INITRWND)
    }
    metrics = [attr(number, value) for number, value in others.items()]
    numbered = zip((_INITCWND, _INITRWND), windows, strict=True)
    metrics += [attr_u32(number, value) for number, value in numbered if value]
    body = _RTMSG.pack(*head, flags & _RTNH_F_ONLINK) + b"".join(attr(number, value) for number, value in own.items())
    attempted = f"give a route initcwnd {windows.initcwnd} and initrwnd {windows.initrwnd}"
    return Request(_RTM_NEWROUTE, _NLM_F_REPLACE | _NLM_F_CREATE, body + nest(_RTA_METRICS, *metrics), attempted)
