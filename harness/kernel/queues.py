"""Queues of a NIC by ioctl: how many there are (`ethtool -L`), and which flows go to which (`ethtool -X`)."""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence

from harness.kernel.ethtool import request

_GCHANNELS, _SCHANNELS, _GRSSH, _SRSSH = 0x3C, 0x3D, 0x46, 0x47
# struct ethtool_channels after its command word: the maxima, then the counts in use, in this order.
_KINDS = ("rx", "tx", "other", "combined")
# struct ethtool_rxfh before its table: command, context, table's entries, key's bytes, hash function.
_RXFH = struct.Struct("=IIIIB7x")
_NO_CHANGE = 0xFFFFFFFF


def channels(device: str) -> dict[str, tuple[int, int]]:
    """(in use, at most) of each kind: rx, tx, combined. Raises OSError (EOPNOTSUPP: the driver cannot tell)."""
    values = _channels(device)
    return {kind: (values[4 + at], values[at]) for at, kind in enumerate(_KINDS) if kind != "other"}


def set_channels(device: str, kind: str, count: int) -> None:
    """Use this many queues of a kind. Raises OSError: EOPNOTSUPP also where the device has not so many."""
    values, at = _channels(device), _KINDS.index(kind)
    if count > values[at]:
        raise OSError(errno.EOPNOTSUPP, f"the device has at most {values[at]} {kind} channels", device)
    values[4 + at] = count
    request(device, bytearray(struct.pack("=9I", _SCHANNELS, *values)))


def _channels(device: str) -> list[int]:
    data = bytearray(struct.pack("=9I", _GCHANNELS, *[0] * 8))
    request(device, data)
    return list(struct.unpack_from("=8I", data, 4))


def indirection(device: str) -> list[int]:
    """The receive queue of each hash value. Raises OSError (EOPNOTSUPP: the device has no such table)."""
    return _rxfh(device)[0]


def hash_key(device: str) -> bytes:
    """The key of the hash; empty where the driver does not show it. Raises OSError."""
    return _rxfh(device)[1]


def set_indirection(device: str, table: Sequence[int]) -> None:
    """Give each hash value its receive queue. Raises OSError: EINVAL for a queue that is not in use."""
    header = _RXFH.pack(_SRSSH, 0, len(table), 0, 0)
    try:
        request(device, bytearray(header + struct.pack(f"={len(table)}I", *table)))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        got = f"the device uses fewer than {max(table) + 1} receive queues; give it more by the knob channels"
        raise OSError(errno.EINVAL, got, device) from None


def set_hash_key(device: str, key: bytes) -> None:
    """Change the key of the hash. Raises OSError: EOPNOTSUPP (none can be set), EINVAL (of another length)."""
    size = len(hash_key(device))
    if not size:
        raise OSError(errno.EOPNOTSUPP, "the driver lets nobody see or set the key of its hash", device)
    if len(key) != size:
        raise OSError(errno.EINVAL, f"the key has {len(key)} bytes, the device wants {size}", device)
    request(device, bytearray(_RXFH.pack(_SRSSH, 0, _NO_CHANGE, len(key), 0) + key))


def equal_spread(size: int, queues: int) -> list[int]:
    """A table that spreads hash values over the first queues in turn, as `ethtool -X equal` does."""
    return [entry % queues for entry in range(size)]


def weighted_spread(size: int, weights: Sequence[int]) -> list[int]:
    """A table in which each queue has its share of the hash values, in one piece, as `ethtool -X weight` does."""
    total = sum(weights)
    bounds = [size * sum(weights[: queue + 1]) // total for queue in range(len(weights))]
    return [next(queue for queue, bound in enumerate(bounds) if entry < bound) for entry in range(size)]


def _rxfh(device: str) -> tuple[list[int], bytes]:
    data = bytearray(_RXFH.pack(_GRSSH, 0, 0, 0, 0))
    request(device, data)
    _, _, entries, key_bytes, _ = _RXFH.unpack_from(data)
    if not entries and not key_bytes:
        raise OSError(errno.EOPNOTSUPP, "the device has no table of receive queues", device)
    data = bytearray(_RXFH.pack(_GRSSH, 0, entries, key_bytes, 0) + bytes(4 * entries + key_bytes))
    request(device, data)
    table = list(struct.unpack_from(f"={entries}I", data, _RXFH.size))
    return table, bytes(data[_RXFH.size + 4 * entries :])
