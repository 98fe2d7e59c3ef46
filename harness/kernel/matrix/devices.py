"""Devices on top of others, each born where it is used, and XDP programs on them, by rtnetlink."""

from __future__ import annotations

import struct

from harness.kernel.netlink import NLM_F_NEW, Request, attr_text, attr_u32, nest

_RTM_NEWLINK, _IFLA_IFNAME, _IFLA_LINK, _IFLA_LINKINFO, _IFLA_NET_NS_FD, _IFLA_XDP = 16, 3, 5, 18, 28, 43
_INFO_KIND, _INFO_DATA, _XDP_FD, _XDP_FLAGS, _XDP_IN_DRIVER = 1, 2, 1, 3, 4
_IFINFO = struct.Struct("=BBHiII")


def new_device(kind: str, device: str, *options: bytes, parent: int = 0, netns_fd: int | None = None) -> Request:
    """A device (down) of a kind of its own: attributes of its data, the device that it stands on, where it is born."""
    body = _IFINFO.pack(0, 0, 0, 0, 0, 0) + attr_text(_IFLA_IFNAME, device)
    body += attr_u32(_IFLA_LINK, parent) if parent else b""
    body += attr_u32(_IFLA_NET_NS_FD, netns_fd) if netns_fd is not None else b""
    data = nest(_INFO_DATA, *options) if options else b""
    body += nest(_IFLA_LINKINFO, attr_text(_INFO_KIND, kind), data)
    return Request(_RTM_NEWLINK, NLM_F_NEW, body, f"create the {kind} device {device}")


def attach_xdp(ifindex: int, program: int) -> Request:
    """Have the driver run an XDP program, by its descriptor, on all that the device receives."""
    xdp = nest(_IFLA_XDP, attr_u32(_XDP_FD, program), attr_u32(_XDP_FLAGS, _XDP_IN_DRIVER))
    return Request(_RTM_NEWLINK, 0, _IFINFO.pack(0, 0, 0, ifindex, 0, 0) + xdp, f"attach XDP to device {ifindex}")
