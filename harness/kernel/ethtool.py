"""Device features (`ethtool -K`) and interrupt coalescing (`ethtool -C`) by ioctl: microseconds each."""

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
from typing import NamedTuple

_SIOCETHTOOL = 0x8946
_GDRVINFO, _DRVINFO_BYTES = 0x03, 196
_GLINK, _GCOALESCE, _SCOALESCE = 0x0A, 0x0E, 0x0F
_GSTRINGS, _GSSET_INFO, _GFEATURES, _SFEATURES = 0x1B, 0x37, 0x3A, 0x3B
_SET_FEATURES = 4
_NAME_BYTES = 32
_UNSUPPORTED = 1
_PAUSE_S = 0.0001

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

# A veth end receives by NAPI if it does GRO itself while its peer sends nothing larger than a frame: set on
# both ends, it holds in both directions. The last two would keep UDP packets in GRO until a busy-poll loop
# ends.
VETH_NAPI_FEATURES = {
    "rx-gro": True,
    **dict.fromkeys(SHORT_NAMES["tso"], False),
    "rx-gro-list": False,
    "rx-udp-gro-forwarding": False,
}

# struct ethtool_coalesce, after its command word.
COALESCE_FIELDS = [
    "rx-usecs",
    "rx-frames",
    "rx-usecs-irq",
    "rx-frames-irq",
    "tx-usecs",
    "tx-frames",
    "tx-usecs-irq",
    "tx-frames-irq",
    "stats-block-usecs",
    "adaptive-rx",
    "adaptive-tx",
    "pkt-rate-low",
    "rx-usecs-low",
    "rx-frames-low",
    "tx-usecs-low",
    "tx-frames-low",
    "pkt-rate-high",
    "rx-usecs-high",
    "rx-frames-high",
    "tx-usecs-high",
    "tx-frames-high",
    "sample-interval",
]


class Feature(NamedTuple):
    """One feature of a device: on now, asked for, and whether it can be changed at all."""

    active: bool
    requested: bool
    changeable: bool


def features(device: str) -> dict[str, Feature]:
    """Every feature by its kernel name ("rx-gro"), of a device in this thread's namespace. Raises OSError."""
    names = _feature_names(device)
    blocks = (len(names) + 31) // 32
    data = bytearray(struct.pack("=II", _GFEATURES, blocks) + bytes(16 * blocks))
    request(device, data)
    words = struct.unpack_from(f"={4 * blocks}I", data, 8)
    by_name = {}
    for number, name in enumerate(names):
        available, requested, active, fixed = (
            bool(word >> number % 32 & 1) for word in words[number // 32 * 4 : number // 32 * 4 + 4]
        )
        if name:
            by_name[name] = Feature(active, requested, available and not fixed)
    return by_name


def set_features(device: str, features: Mapping[str, bool]) -> None:
    """Ask for features by kernel or short name, all in one call; read back what became of it.

    A short name sets those of its features that the device can change. Raises OSError: EINVAL for a name
    that this kernel does not know, EOPNOTSUPP for one that the device cannot change.
    """
    names = _feature_names(device)
    blocks = [[0, 0] for _ in range((len(names) + 31) // 32)]
    for given, on in features.items():
        for name in _meant_by(device, given):
            if name not in names:
                raise OSError(errno.EINVAL, f'this kernel has no feature "{name}"', device)
            block, bit = divmod(names.index(name), 32)
            blocks[block][0] |= 1 << bit
            blocks[block][1] |= on << bit
    data = bytearray(struct.pack("=II", _SFEATURES, len(blocks)))
    for block_values in blocks:
        data += struct.pack("=II", *block_values)
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

    On veth (and most drivers) asking also makes the kernel act on a pending carrier change at once, which
    it would else do from a work queue some time later: after True, the transmit queue is open. Raises
    OSError.
    """
    data = bytearray(struct.pack("=II", _GLINK, 0))
    request(device, data)
    return bool(struct.unpack_from("=I", data, 4)[0])


def await_carrier(device: str, patience_s: float) -> bool:
    """Whether the device has a carrier within so many seconds: a NIC's driver looks for it some time after."""
    deadline = time.monotonic() + patience_s
    while not link_detected(device):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE_S)
    return True


def coalesce(device: str) -> dict[str, int]:
    """The coalescing parameters by ethtool's names. Raises OSError (EOPNOTSUPP: the driver has none)."""
    data = bytearray(struct.pack("=I", _GCOALESCE) + bytes(4 * len(COALESCE_FIELDS)))
    request(device, data)
    return dict(zip(COALESCE_FIELDS, struct.unpack_from(f"={len(COALESCE_FIELDS)}I", data, 4), strict=True))


def set_coalesce(device: str, parameters: Mapping[str, int]) -> None:
    """Change these coalescing parameters and no others. Raises OSError (EINVAL: unknown name)."""
    if unknown := set(parameters) - set(COALESCE_FIELDS):
        raise OSError(errno.EINVAL, f'no coalescing parameter "{min(unknown)}"', device)
    values = {**coalesce(device), **parameters}
    data = struct.pack(f"={len(values) + 1}I", _SCOALESCE, *(values[name] for name in COALESCE_FIELDS))
    request(device, bytearray(data))


def driver(device: str) -> tuple[str, str]:
    """(driver, bus address or "") of a device. Raises OSError (EOPNOTSUPP: it has none)."""
    data = bytearray(struct.pack("=I", _GDRVINFO) + bytes(_DRVINFO_BYTES - 4))
    request(device, data)
    names = (data[at : at + 32].partition(b"\0")[0].decode() for at in (4, 4 + 3 * 32))
    return next(names), next(names).replace("N/A", "")


_names: list[tuple[str, ...]] = []


def _feature_names(device: str) -> tuple[str, ...]:
    """The kernel's feature names by bit number: the same for every device, so asked for once."""
    if not _names:
        data = bytearray(struct.pack("=IIQI", _GSSET_INFO, 0, 1 << _SET_FEATURES, 0))
        request(device, data)
        (count,) = struct.unpack_from("=I", data, 16)
        data = bytearray(struct.pack("=III", _GSTRINGS, _SET_FEATURES, count) + bytes(_NAME_BYTES * count))
        request(device, data)
        raw = (data[12 + _NAME_BYTES * i : 12 + _NAME_BYTES * (i + 1)] for i in range(count))
        _names.append(tuple(bytes(name).partition(b"\0")[0].decode() for name in raw))
    return _names[0]


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
