"""Links, addresses, neighbours and routes of a namespace by pyroute2: for what is asked or changed once a run.

The links of a testbed, of which there may be hundreds, are made by links.py in batches: docs/dependencies.md has the
figures. Importing pyroute2 takes 0.1 s, so that waits for the first use.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from harness.kernel.netlink import NetlinkError

_IFF_UP = 1


class Interface(NamedTuple):
    """A device as the kernel describes it. mac: its hardware address as text; kind: veth, bridge; "" of a card."""

    ifindex: int
    up: bool
    mtu: int
    mac: str
    kind: str


class IpRoute:
    """pyroute2's IPRoute, a socket of the namespace in which this thread was when it was made."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    def request(self, attempted: str, method: str, *arguments: Any, **values: Any) -> list[Any]:
        """Call a method of IPRoute ("link", "addr", "route", "neigh", ...) and return all of its answers.

        Raises NetlinkError, an OSError with the kernel's own words, which pyroute2's error is not; it says what was
        attempted.
        """
        from pyroute2.netlink.exceptions import NetlinkError as Refusal

        try:
            return list(getattr(self._socket, method)(*arguments, **values) or ())
        except Refusal as error:
            text, words = os.strerror(error.code), str(error.args[-1]).rstrip(".")
            raise NetlinkError(error.code, text if words == text else f"{text} ({words})", attempted) from error

    def set_link(self, attempted: str, ifindex: int, **values: Any) -> None:
        """Change a device: state ("up", "down"), mtu, net_ns_fd, new_ifindex. Raises NetlinkError."""
        self.request(attempted, "link", "set", index=ifindex, **values)

    def interfaces(self) -> dict[str, Interface]:
        """Every device of the namespace by its name, in the kernel's order."""
        return {
            link.get_attr("IFLA_IFNAME"): Interface(
                link["index"],
                bool(link["flags"] & _IFF_UP),
                link.get_attr("IFLA_MTU"),
                link.get_attr("IFLA_ADDRESS") or "",
                link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or "",
            )
            for link in self.request("list the devices", "get_links")
        }


@contextlib.contextmanager
def iproute() -> Iterator[IpRoute]:
    """A socket of this thread's namespace, for the block."""
    from pyroute2.iproute import IPRoute

    with IPRoute(ext_ack=True) as socket:
        yield IpRoute(socket)
