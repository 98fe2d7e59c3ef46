"""WireGuard devices: keys and the one peer of each, by generic netlink."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct

from harness.kernel.netdev import family
from harness.kernel.netlink import NETLINK_GENERIC, NLM_F_DUMP, NetlinkSocket, Request, attr, attr_u32, attrs, nest

_GENL_HEADER = struct.Struct("=BBH")
_GET_DEVICE, _SET_DEVICE, _VERSION = 0, 1, 1
_IFINDEX, _PRIVATE_KEY, _PUBLIC_KEY, _LISTEN_PORT, _PEERS = 1, 3, 4, 6, 8
_PEER_PUBLIC_KEY, _PEER_ENDPOINT, _PEER_ALLOWED_IPS = 1, 4, 9
_ALLOWED_FAMILY, _ALLOWED_ADDRESS, _ALLOWED_PREFIX = 1, 2, 3
_KEY_BYTES, _FIRST_PORT = 32, 51820
_SOCKADDR_IN = struct.Struct("=HH4s8x")


def set_keys(ifindex: int) -> bytes:
    """Give a device of this thread's namespace a new private key and a port of its own; its public key.

    Raises OSError: EOPNOTSUPP where this kernel has no WireGuard.
    """
    key = attr(_PRIVATE_KEY, os.urandom(_KEY_BYTES))
    with NetlinkSocket(NETLINK_GENERIC) as sock:
        sock.batch([_set(ifindex, key + attr(_LISTEN_PORT, struct.pack("=H", _port(ifindex))))])
        (answer,) = sock.ask(Request(_family(), NLM_F_DUMP, _head(_GET_DEVICE, ifindex), f"look at device {ifindex}"))
    return attrs(answer, _GENL_HEADER.size)[_PUBLIC_KEY]


def set_peer(ifindex: int, public_key: bytes, address: ipaddress.IPv4Address, peer_ifindex: int) -> None:
    """Have a device of this thread's namespace send all that it is given to the one peer that is at this address.

    peer_ifindex: the peer's device, for its port. Raises OSError.
    """
    allowed = [
        nest(
            0,
            attr(_ALLOWED_FAMILY, struct.pack("=H", version)),
            attr(_ALLOWED_ADDRESS, bytes(size)),
            attr(_ALLOWED_PREFIX, b"\0"),
        )
        for version, size in ((socket.AF_INET, 4), (socket.AF_INET6, 16))
    ]
    endpoint = _SOCKADDR_IN.pack(socket.AF_INET, socket.htons(_port(peer_ifindex)), address.packed)
    peer = nest(
        0, attr(_PEER_PUBLIC_KEY, public_key), attr(_PEER_ENDPOINT, endpoint), nest(_PEER_ALLOWED_IPS, *allowed)
    )
    with NetlinkSocket(NETLINK_GENERIC) as sock:
        sock.batch([_set(ifindex, nest(_PEERS, peer))])


def _port(ifindex: int) -> int:
    """A node may have several, each with a number of its own."""
    return _FIRST_PORT + ifindex % 10_000


def _set(ifindex: int, attributes: bytes) -> Request:
    return Request(_family(), 0, _head(_SET_DEVICE, ifindex) + attributes, f"set up WireGuard on device {ifindex}")


def _head(command: int, ifindex: int) -> bytes:
    return _GENL_HEADER.pack(command, _VERSION, 0) + attr_u32(_IFINDEX, ifindex)


def _family() -> int:
    number = family("wireguard")
    if number is None:
        raise OSError(errno.EOPNOTSUPP, "this kernel has no WireGuard")
    return number
