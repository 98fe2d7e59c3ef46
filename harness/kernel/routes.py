"""What TCP takes from routes: the first windows of its connections."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from harness.kernel.netlink import NLM_F_DUMP, NetlinkSocket, Request, attr, attr_u32, attrs, nest, u32

_RTM_NEWROUTE, _RTM_GETROUTE, _NLM_F_REPLACE, _NLM_F_CREATE = 24, 26, 0x100, 0x400
_RTMSG = struct.Struct("=BBBBBBBBI")
_RTN_UNICAST, _TABLE_LOCAL, _RTM_F_CLONED, _RTNH_F_ONLINK = 1, 255, 0x200, 4
_RTA_DST, _RTA_METRICS, _RTA_CACHEINFO = 1, 8, 12
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
