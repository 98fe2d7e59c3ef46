"""NAPI instances and their settings by the generic netlink family `netdev`, in this thread's namespace."""

from __future__ import annotations

import errno
import struct
import sys
from functools import cache
from typing import NamedTuple

from harness.kernel.netlink import NETLINK_GENERIC, NLM_F_DUMP, NetlinkError, NetlinkSocket, Request, attr, attrs

_GENL_HEADER = struct.Struct("=BBH")
_CTRL_FAMILY, _CTRL_GETFAMILY, _CTRL_FAMILY_ID, _CTRL_FAMILY_NAME = 0x10, 3, 1, 2
_QUEUE_GET, _NAPI_GET, _NAPI_SET = 10, 11, 14
_QUEUE_ID, _QUEUE_IFINDEX, _QUEUE_TYPE, _QUEUE_NAPI_ID, _RX = 1, 2, 3, 4, 0


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


# In the family's numbering, which begins with 1, the attributes of a NAPI have the same order.
_ATTRIBUTES = {name: number for number, name in enumerate(Napi._fields, 1)}


def napi_get(ifindex: int | None = None, napi_id: int | None = None) -> list[Napi]:
    """The NAPIs of a device, or the one with this id, or all of the namespace.

    Timeouts in ns. Raises OSError: ENOENT for an id that is not here, EOPNOTSUPP before Linux 6.8.
    """
    if napi_id is not None:
        request = _request(_NAPI_GET, 0, f"look up NAPI {napi_id}", napi_id=napi_id)
    else:
        request = _request(_NAPI_GET, NLM_F_DUMP, "list the NAPIs", ifindex=ifindex)
    with NetlinkSocket(NETLINK_GENERIC) as sock:
        return [_napi(answer) for answer in sock.ask(request)]


def napis_of(ifindex: int | None = None) -> list[Napi] | None:
    """The NAPIs of a device, or of the namespace; None before Linux 6.8, which lists none. Raises OSError."""
    try:
        return napi_get(ifindex)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return None


def rx_queues(ifindex: int) -> dict[int, int]:
    """The receive queue of each NAPI of a device, by the NAPI's id.

    Drivers that do not tell it (veth) number both alike: there the order of the ids is that of the queues, as long as
    each receive queue has one NAPI. Empty where nothing tells. Raises OSError: EOPNOTSUPP before Linux 6.8.
    """
    body = _GENL_HEADER.pack(_QUEUE_GET, 1, 0) + _number(_QUEUE_IFINDEX, ifindex)
    with NetlinkSocket(NETLINK_GENERIC) as sock:
        answers = sock.ask(Request(_family(), NLM_F_DUMP, body, f"list the queues of interface {ifindex}"))
    queues = [_values(answer) for answer in answers]
    receiving = [queue for queue in queues if queue.get(_QUEUE_TYPE) == _RX]
    told = {queue[_QUEUE_NAPI_ID]: queue[_QUEUE_ID] for queue in receiving if _QUEUE_NAPI_ID in queue}
    if told:
        return told
    napi_ids = sorted(napi.napi_id for napi in napi_get(ifindex))
    numbers = sorted(queue[_QUEUE_ID] for queue in receiving)
    return dict(zip(napi_ids, numbers, strict=True)) if len(napi_ids) == len(numbers) else {}


def napi_set(napi_id: int, **settings: int | None) -> None:
    """Change settings of one NAPI, by the names of Napi (timeouts in ns); None leaves a setting alone.

    Raises OSError: EPERM without CAP_NET_ADMIN on the host, ENOENT, ERANGE, EOPNOTSUPP before Linux 6.13.
    """
    request = _request(_NAPI_SET, 0, f"set NAPI {napi_id}", napi_id=napi_id, **settings)
    with NetlinkSocket(NETLINK_GENERIC) as sock:
        sock.batch([request])


def _request(command: int, flags: int, attempted: str, **values: int | None) -> Request:
    given = [_number(_ATTRIBUTES[name], value) for name, value in values.items() if value is not None]
    return Request(_family(), flags, _GENL_HEADER.pack(command, 1, 0) + b"".join(given), attempted)


def _number(kind: int, value: int) -> bytes:
    """netlink's number of either width: 64 bits only where needed, since some settings take only 32."""
    return attr(kind, struct.pack("=I" if value < 2**32 else "=Q", value))


def _napi(body: bytes) -> Napi:
    told = _values(body)
    return Napi._make(told.get(kind) for kind in _ATTRIBUTES.values())


def _values(body: bytes) -> dict[int, int]:
    """The attributes of an answer of which each is a number."""
    return {kind: int.from_bytes(value, sys.byteorder) for kind, value in attrs(body, _GENL_HEADER.size).items()}


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
    body = _GENL_HEADER.pack(_CTRL_GETFAMILY, 1, 0) + attr(_CTRL_FAMILY_NAME, name.encode() + b"\0")
    with NetlinkSocket(NETLINK_GENERIC) as sock:
        try:
            answers = sock.ask(Request(_CTRL_FAMILY, 0, body, f"find the netlink family {name}"))
        except NetlinkError as error:
            if error.errno != errno.ENOENT:
                raise
            return None
    return int.from_bytes(attrs(answers[0], _GENL_HEADER.size)[_CTRL_FAMILY_ID], sys.byteorder)
