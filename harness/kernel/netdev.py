"""NAPI instances and their settings by the generic netlink family `netdev`, in this thread's namespace."""

from __future__ import annotations

import errno
import os
import struct
import sys
from functools import cache
from typing import NamedTuple

from harness.kernel.netlink import (
    NETLINK_GENERIC,
    NLM_F_DUMP,
    NetlinkError,
    NetlinkSocket,
    Request,
    attr,
    attr_text,
    attr_u32,
    attrs,
    u32,
)

_GENL_HEADER = struct.Struct("=BBH")
_CTRL_FAMILY, _CTRL_GETFAMILY, _CTRL_FAMILY_ID, _CTRL_FAMILY_NAME = 0x10, 3, 1, 2
_NAPI_GET, _NAPI_SET = 11, 14
_IFINDEX, _ID, _IRQ, _PID, _DEFER, _FLUSH, _SUSPEND, _THREADED = range(1, 9)


class Napi(NamedTuple):
    """One NAPI instance. None: this kernel does not report it (or, for irq and pid, there is none)."""

    ifindex: int
    napi_id: int
    irq: int | None
    pid: int | None
    defer_hard_irqs: int | None
    gro_flush_timeout: int | None
    irq_suspend_timeout: int | None
    threaded: int | None


def napi_get(ifindex: int | None = None, napi_id: int | None = None) -> list[Napi]:
    """The NAPIs of a device, or the one with this id, or all of the namespace.

    Timeouts in ns. Raises OSError: ENOENT for an id that is not here, EOPNOTSUPP before Linux 6.8.
    """
    family = _family()
    body = _GENL_HEADER.pack(_NAPI_GET, 1, 0)
    if napi_id is not None:
        request = Request(family, 0, body + attr_u32(_ID, napi_id), f"look up NAPI {napi_id}")
    else:
        chosen = attr_u32(_IFINDEX, ifindex) if ifindex is not None else b""
        request = Request(family, NLM_F_DUMP, body + chosen, "list the NAPIs")
    with NetlinkSocket(NETLINK_GENERIC) as sock:
        return [_napi(answer) for answer in sock.ask(request)]


def napi_set(
    napi_id: int,
    *,
    defer_hard_irqs: int | None = None,
    gro_flush_timeout: int | None = None,
    irq_suspend_timeout: int | None = None,
    threaded: int | None = None,
) -> None:
    """Change settings of one NAPI (timeouts in ns); None leaves a setting alone.

    Raises OSError: EPERM without CAP_NET_ADMIN on the host, ENOENT, ERANGE, EOPNOTSUPP before Linux 6.13.
    """
    body = _GENL_HEADER.pack(_NAPI_SET, 1, 0) + attr_u32(_ID, napi_id)
    settings = (
        (_DEFER, defer_hard_irqs),
        (_FLUSH, gro_flush_timeout),
        (_SUSPEND, irq_suspend_timeout),
        (_THREADED, threaded),
    )
    for kind, value in settings:
        if value is not None:
            body += _uint(kind, value)
    with NetlinkSocket(NETLINK_GENERIC) as sock:
        sock.batch([Request(_family(), 0, body, f"set NAPI {napi_id}")])


def has_family() -> bool:
    """Does this kernel have the netlink family at all (Linux 6.8)?"""
    try:
        _family()
    except OSError:
        return False
    return True


def _uint(kind: int, value: int) -> bytes:
    """netlink's number of either width: 64 bits only where needed, since some settings take only 32."""
    if not 0 <= value < 2**64:
        raise OSError(errno.ERANGE, os.strerror(errno.ERANGE), str(value))
    return attr_u32(kind, value) if value < 2**32 else attr(kind, struct.pack("=Q", value))


def _napi(body: bytes) -> Napi:
    attributes = attrs(body, _GENL_HEADER.size)
    kinds = (_IRQ, _PID, _DEFER, _FLUSH, _SUSPEND, _THREADED)
    rest = [int.from_bytes(attributes[kind], sys.byteorder) if kind in attributes else None for kind in kinds]
    return Napi(u32(attributes[_IFINDEX]), u32(attributes[_ID]), *rest)


@cache
def _family() -> int:
    number = family("netdev")
    if number is None:
        raise OSError(errno.EOPNOTSUPP, "no netlink family netdev: needs Linux 6.8")
    return number


def family(name: str) -> int | None:
    """The number that this kernel gave to a generic netlink family until the next boot; None where it has none.

    To be asked makes the kernel load the module that brings the family, where there is one.
    """
    body = _GENL_HEADER.pack(_CTRL_GETFAMILY, 1, 0) + attr_text(_CTRL_FAMILY_NAME, name)
    with NetlinkSocket(NETLINK_GENERIC) as sock:
        try:
            answers = sock.ask(Request(_CTRL_FAMILY, 0, body, f"find the netlink family {name}"))
        except NetlinkError as error:
            if error.errno != errno.ENOENT:
                raise
            return None
    return int.from_bytes(attrs(answers[0], _GENL_HEADER.size)[_CTRL_FAMILY_ID], sys.byteorder)
