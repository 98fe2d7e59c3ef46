"""WireGuard tunnels by the generic netlink family `wireguard`, in this thread's namespace."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct

from harness.kernel.netdev import family
from harness.kernel.netlink import NETLINK_GENERIC, NLM_F_DUMP, NetlinkSocket, Request, attr, attr_u32, attrs, nest

_GENL = struct.Struct("=BBH")
_GET_DEVICE, _SET_DEVICE, _VERSION, _KEY_BYTES = 0, 1, 1, 32
_IFINDEX, _PRIVATE_KEY, _PUBLIC_KEY, _LISTEN_PORT, _PEERS = 1, 3, 4, 6, 8
_PEER_KEY, _PEER_ENDPOINT, _PEER_ALLOWED = 1, 4, 9
_ALLOWED_FAMILY, _ALLOWED_ADDRESS, _ALLOWED_LENGTH = 1, 2, 3


def make_key(ifindex: int, port: int) -> bytes:
    """Give a device a new private key and a port to listen on; its public key. Raises OSError."""
    _set(ifindex, attr(_PRIVATE_KEY, os.urandom(_KEY_BYTES)), attr(_LISTEN_PORT, struct.pack("=H", port)))
    body = _GENL.pack(_GET_DEVICE, _VERSION, 0) + attr_u32(_IFINDEX, ifindex)
    with NetlinkSocket(NETLINK_GENERIC) as sock:
        answers = sock.ask(Request(_family(), NLM_F_DUMP, body, f"look at WireGuard device {ifindex}"))
    return attrs(answers[0], _GENL.size)[_PUBLIC_KEY]


def add_peer(ifindex: int, key: bytes, endpoint: tuple[str, int], allowed: ipaddress.IPv4Network) -> None:
    """A peer by its public key, where it is, and which addresses are behind it. Raises OSError."""
    host, port = ipaddress.IPv4Address(endpoint[0]).packed, endpoint[1]
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + host + bytes(8)
    network = nest(
        0,
        attr(_ALLOWED_FAMILY, struct.pack("=H", socket.AF_INET)),
        attr(_ALLOWED_ADDRESS, allowed.network_address.packed),
        attr(_ALLOWED_LENGTH, bytes([allowed.prefixlen])),
    )
    peer = nest(0, attr(_PEER_KEY, key), attr(_PEER_ENDPOINT, address), nest(_PEER_ALLOWED, network))
    _set(ifindex, nest(_PEERS, peer))


def _set(ifindex: int, *attributes: bytes) -> None:
    body = _GENL.pack(_SET_DEVICE, _VERSION, 0) + attr_u32(_IFINDEX, ifindex) + b"".join(attributes)
    with NetlinkSocket(NETLINK_GENERIC) as sock:
        sock.batch([Request(_family(), 0, body, f"set up WireGuard device {ifindex}")])


def _family() -> int:
    number = family("wireguard")
    if number is None:
        raise OSError(errno.EOPNOTSUPP, "this kernel has no WireGuard")
    return number
