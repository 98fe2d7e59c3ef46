"""What `ethtool` sets of a device, by ioctl, in microseconds each.

Features (-K), interrupt coalescing (-C), sizes of rings (-G), how many queues there are (-L), and which flows go to
which (-X).
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import cache
from typing import NamedTuple

_SIOCETHTOOL, _SIOCGIFFLAGS = 0x8946, 0x8913
_IFF_RUNNING = 0x40
_GDRVINFO, _DRVINFO_BYTES = 0x03, 196
_GLINK, _GCOALESCE, _SCOALESCE, _GRINGS, _SRINGS = 0x0A, 0x0E, 0x0F, 0x10, 0x11
_GCHANNELS, _SCHANNELS, _GRSSH, _SRSSH = 0x3C, 0x3D, 0x46, 0x47
_GSTRINGS, _GSSET_INFO, _GFEATURES, _SFEATURES = 0x1B, 0x37, 0x3A, 0x3B
_SET_FEATURES = 4
_NAME_BYTES = 32
_UNSUPPORTED = 1
_PAUSE_S, _LONGEST_PAUSE_S = 0.0001, 0.02

# What ethtool's short names stand for. tso: the bits that decide on veth's NAPI; tx-tcp-accecn-segmentation
# (6.18) is no business of the legacy flag either.
SHORT_NAMES = {
    "gro": ("rx-gro",),
    "gso": ("tx-generic-segmentation",),
    "lro": ("rx-lro",),
    "rx": ("rx-checksum",),
    "sg": ("tx-scatter-gather", "tx-scatter-gather-fraglist"),
    "tso": ("tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp-mangleid-segmentation"),
    "tx": ("tx-checksum-ipv4", "tx-checksum-ip-generic", "tx-checksum-ipv6", "tx-checksum-sctp"),
}

# A veth end receives by NAPI if it does GRO itself while its peer sends nothing larger than a frame: set on both ends,
# it holds in both directions. The last two would keep UDP packets in GRO until a busy-poll loop ends.
VETH_NAPI_FEATURES = {
    "rx-gro": True,
    **dict.fromkeys(SHORT_NAMES["tso"], False),
    "rx-gro-list": False,
    "rx-udp-gro-forwarding": False,
}

# Of struct ethtool_coalesce, behind its command word, in this order.
_COALESCE = (
    "rx-usecs rx-frames rx-usecs-irq rx-frames-irq tx-usecs tx-frames tx-usecs-irq tx-frames-irq stats-block-usecs "
    "adaptive-rx adaptive-tx pkt-rate-low rx-usecs-low rx-frames-low tx-usecs-low tx-frames-low pkt-rate-high "
    "rx-usecs-high rx-frames-high tx-usecs-high tx-frames-high sample-interval"
)
# Of struct ethtool_channels: the maxima, then the counts in use, in this order.
_CHANNELS = ("rx", "tx", "other", "combined")
# Of struct ethtool_ringparam: the maxima, then the sizes in use, in this order.
_RINGS = ("rx", "rx-mini", "rx-jumbo", "tx")
# struct ethtool_rxfh before its table: command, context, table's entries, key's bytes, hash function.
_RXFH = struct.Struct("=IIIIB7x")
_NO_CHANGE = 0xFFFFFFFF


class Feature(NamedTuple):
    """One feature of a device: on now, asked for, and whether it can be changed at all."""

    active: bool
    requested: bool
    changeable: bool


def features(device: str) -> dict[str, Feature]:
    """Every feature by its kernel name ("rx-gro"), of a device in this thread's namespace. Raises OSError."""
    names, (available, requested, active, fixed) = _feature_names(), _feature_bits(device)
    bits = ((name, 1 << number) for number, name in enumerate(names))
    return {
        name: Feature(bool(active & bit), bool(requested & bit), bool(available & ~fixed & bit))
        for name, bit in bits
        if name
    }


def active_features(device: str) -> list[str]:
    """Names of the features that are on, of a device in this thread's namespace. Raises OSError."""
    _, _, active, _ = _feature_bits(device)
    return [name for number, name in enumerate(_feature_names()) if active >> number & 1 and name]


def _feature_bits(device: str) -> tuple[int, int, int, int]:
    """Which features, by bit number, are available, asked for, on, and fixed."""
    blocks = (len(_feature_names()) + 31) // 32
    answer = _asked(device, struct.pack("=II", _GFEATURES, blocks), 16 * blocks)
    words = struct.unpack_from(f"={4 * blocks}I", answer, 8)
    available, requested, active, fixed = (
        sum(word << 32 * block for block, word in enumerate(words[kind::4])) for kind in range(4)
    )
    return available, requested, active, fixed


def set_features(device: str, features: Mapping[str, bool]) -> None:
    """Ask for features by kernel or short name, all in one call; read back what became of it.

    A short name sets those of its features that the device can change. Raises OSError: EINVAL for a name
    that this kernel does not know, EOPNOTSUPP for one that the device cannot change.
    """
    names = _feature_names()
    valid = wanted = 0
    for given, on in features.items():
        for name in _meant_by(device, given):
            if name not in names:
                raise OSError(errno.EINVAL, f'this kernel has no feature "{name}"', device)
            valid |= 1 << names.index(name)
            wanted |= on << names.index(name)
    words = [bits >> at & 0xFFFFFFFF for at in range(0, len(names), 32) for bits in (valid, wanted)]
    data = bytearray(struct.pack(f"={2 + len(words)}I", _SFEATURES, len(words) // 2, *words))
    if request(device, data) & _UNSUPPORTED:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), device)


def _meant_by(device: str, name: str) -> Sequence[str]:
    """The kernel's names behind a given one; of several, those that the device can change."""
    meant = SHORT_NAMES.get(name, (name,))
    if len(meant) == 1:
        return meant
    known = features(device)
    changeable = [name for name in meant if name in known and known[name].changeable]
    if not changeable:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), device)
    return changeable


def link_detected(device: str) -> bool:
    """Whether the device has a carrier.

    On veth (and most drivers) asking also makes the kernel act on a pending carrier change at once, which it would else
    do from a work queue some time later: after True, the transmit queue is open. A driver that cannot be asked (netkit)
    has one when its device is running. Raises OSError.
    """
    try:
        return any(_asked(device, struct.pack("=I", _GLINK), 4)[4:])
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)) as sock:
        flags = fcntl.ioctl(sock, _SIOCGIFFLAGS, struct.pack("=16s24x", device.encode()))
    return bool(struct.unpack_from("=H", flags, 16)[0] & _IFF_RUNNING)


def await_carrier(device: str, patience_s: float) -> bool:
    """Whether the device has a carrier within so many seconds: a NIC's driver looks for it some time after."""
    deadline, pause_s = time.monotonic() + patience_s, _PAUSE_S
    while not link_detected(device):
        if time.monotonic() >= deadline:
            return False
        # Drivers look every two seconds: to ask a thousand times meanwhile costs more than a short run in a guest.
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    return True


def coalesce(device: str) -> dict[str, int]:
    """The coalescing parameters by ethtool's names. Raises OSError (EOPNOTSUPP: the driver has none)."""
    names = _COALESCE.split()
    answer = _asked(device, struct.pack("=I", _GCOALESCE), 4 * len(names))
    return dict(zip(names, struct.unpack_from(f"={len(names)}I", answer, 4), strict=True))


def set_coalesce(device: str, parameters: Mapping[str, int]) -> None:
    """Change these coalescing parameters and no others. Raises OSError (EINVAL: unknown name)."""
    values = coalesce(device)
    if unknown := set(parameters) - set(values):
        raise OSError(errno.EINVAL, f'no coalescing parameter "{min(unknown)}"', device)
    values |= parameters
    _asked(device, struct.pack(f"={len(values) + 1}I", _SCOALESCE, *values.values()))


def driver(device: str) -> tuple[str, str]:
    """(driver, bus address or "") of a device. Raises OSError (EOPNOTSUPP: it has none)."""
    answer = _asked(device, struct.pack("=I", _GDRVINFO), _DRVINFO_BYTES - 4)
    names = (answer[at : at + 32].partition(b"\0")[0].decode() for at in (4, 4 + 3 * 32))
    return next(names), next(names).replace("N/A", "")


def channels(device: str) -> dict[str, tuple[int, int]]:
    """(in use, at most) of each kind: rx, tx, combined. Raises OSError (EOPNOTSUPP: the driver cannot tell)."""
    values = _channels(device)
    return {kind: (values[4 + at], values[at]) for at, kind in enumerate(_CHANNELS) if kind != "other"}


def set_channels(device: str, kind: str, count: int) -> None:
    """Use this many queues of a kind. Raises OSError: EOPNOTSUPP also where the device has not so many."""
    values, at = _channels(device), _CHANNELS.index(kind)
    if count > values[at]:
        raise OSError(errno.EOPNOTSUPP, f"the device has at most {values[at]} {kind} channels", device)
    values[4 + at] = count
    _asked(device, struct.pack("=9I", _SCHANNELS, *values))


def _channels(device: str) -> list[int]:
    return list(struct.unpack_from("=8I", _asked(device, struct.pack("=I", _GCHANNELS), 32), 4))


def rings(device: str) -> dict[str, tuple[int, int]]:
    """(packets that fit in, at most) of the rings rx and tx. Raises OSError (EOPNOTSUPP: the driver has none)."""
    values = _rings(device)
    return {kind: (values[4 + at], values[at]) for at, kind in enumerate(_RINGS) if kind in ("rx", "tx")}


def set_ring(device: str, kind: str, size: int) -> None:
    """Give the rings of a kind this size. Raises OSError: EOPNOTSUPP also where the device has no larger ones."""
    values, at = _rings(device), _RINGS.index(kind)
    if size > values[at]:
        raise OSError(errno.EOPNOTSUPP, f"the device has {kind} rings of at most {values[at]} packets", device)
    values[4 + at] = size
    _asked(device, struct.pack("=9I", _SRINGS, *values))


def _rings(device: str) -> list[int]:
    return list(struct.unpack_from("=8I", _asked(device, struct.pack("=I", _GRINGS), 32), 4))


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
        _asked(device, header + struct.pack(f"={len(table)}I", *table))
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
    _asked(device, _RXFH.pack(_SRSSH, 0, _NO_CHANGE, len(key), 0) + key)


def equal_spread(size: int, queues: int) -> list[int]:
    """A table that spreads hash values over the first queues in turn, as `ethtool -X equal` does."""
    return [entry % queues for entry in range(size)]


def weighted_spread(size: int, weights: Sequence[int]) -> list[int]:
    """A table in which each queue has its share of the hash values, in one piece, as `ethtool -X weight` does."""
    total = sum(weights)
    bounds = [size * sum(weights[: queue + 1]) // total for queue in range(len(weights))]
    return [next(queue for queue, bound in enumerate(bounds) if entry < bound) for entry in range(size)]


def _rxfh(device: str) -> tuple[list[int], bytes]:
    _, _, entries, key_bytes, _ = _RXFH.unpack_from(_asked(device, _RXFH.pack(_GRSSH, 0, 0, 0, 0)))
    if not entries and not key_bytes:
        raise OSError(errno.EOPNOTSUPP, "the device has no table of receive queues", device)
    answer = _asked(device, _RXFH.pack(_GRSSH, 0, entries, key_bytes, 0), 4 * entries + key_bytes)
    table = list(struct.unpack_from(f"={entries}I", answer, _RXFH.size))
    return table, bytes(answer[_RXFH.size + 4 * entries :])


@cache
def _feature_names() -> tuple[str, ...]:
    """The kernel's feature names by bit number: the same for every device, so asked of the one that is always there."""
    answer = _asked("lo", struct.pack("=IIQI", _GSSET_INFO, 0, 1 << _SET_FEATURES, 0))
    (count,) = struct.unpack_from("=I", answer, 16)
    answer = _asked("lo", struct.pack("=III", _GSTRINGS, _SET_FEATURES, count), _NAME_BYTES * count)
    raw = (answer[at : at + _NAME_BYTES] for at in range(12, len(answer), _NAME_BYTES))
    return tuple(bytes(name).partition(b"\0")[0].decode() for name in raw)


def _asked(device: str, command: bytes, room: int = 0) -> bytearray:
    """The answer to a command; room: bytes for it behind the command's own."""
    data = bytearray(command + bytes(room))
    request(device, data)
    return data


def request(device: str, data: bytearray) -> int:
    """One SIOCETHTOOL on a device of this thread's namespace; `data` is answered in place."""
    if len(device.encode()) > 15:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), device)
    buffer = array.array("B", data)
    request = array.array("B", struct.pack("=16sQ16x", device.encode(), buffer.buffer_info()[0]))
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)) as sock:
        try:
            outcome = int(fcntl.ioctl(sock, _SIOCETHTOOL, request, True))
        except OSError as error:
            raise OSError(error.errno, error.strerror, device) from None
    data[:] = buffer.tobytes()
    return outcome
