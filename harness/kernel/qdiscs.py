"""Queueing disciplines on the wire: their options in plain units, encoded and decoded."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from harness.kernel.netlink import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NetlinkSocket,
    Request,
    attr,
    attr_text,
    attr_u32,
    attrs,
    u32,
)

Options = Mapping[str, int | float]

ROOT = 0xFFFFFFFF
TICK_NS = 64  # the unit of times in the older tc structures, on every kernel since 2.6.31

_RTM_NEWQDISC, _RTM_DELQDISC, _RTM_GETQDISC, _RTM_NEWTCLASS, _RTM_GETTCLASS = 36, 37, 38, 40, 42
_TCA_KIND, _TCA_OPTIONS, _TCA_STATS2 = 1, 2, 7
_TCA_STATS_BASIC, _TCA_STATS_QUEUE = 1, 3
_TCMSG = struct.Struct("=BBHiIII")
_NEW = NLM_F_CREATE | NLM_F_EXCL
_U32_MAX = 2**32 - 1
_NATIVE = sys.byteorder

# Sizes are counted with their Ethernet header and computed by the kernel; the alternative, linklayer 0,
# would want the 1 KiB rate tables of old.
_LINKLAYER_ETHERNET = 1
_RATESPEC = struct.Struct("=BBHhHI")

HTB_CLASS_MINOR = 1


class QdiscState(NamedTuple):
    """A qdisc as the kernel reports it; options in our units, empty for kinds that we do not install."""

    ifindex: int
    kind: str
    handle: int
    parent: int
    options: dict[str, int | float]
    statistics: dict[str, int]


def new_qdisc(ifindex: int, kind: str, handle: int, parent: int, options: Options) -> list[Request]:
    """The requests that install a qdisc. The kernel answers ENOENT when it has no such kind.

    Options by kind: tbf, htb {rate_bps, burst_bytes, limit_bytes (tbf)}; netem {delay_ns, jitter_ns, loss,
    duplicate, reorder (shares), limit}; the others {limit}, none meaning the kernel's default. For htb it
    is the qdisc and its one class, HANDLE:1, to which all packets go.
    """
    made = [_tc(_RTM_NEWQDISC, ifindex, kind, handle, parent, _encoded(kind, tuple(options.items())))]
    if kind == "htb":
        payload = _htb_class(options)
        made.append(_tc(_RTM_NEWTCLASS, ifindex, kind, handle | HTB_CLASS_MINOR, handle, payload))
    return made


def delete_root(ifindex: int) -> Request:
    """Remove the root qdisc, and all below it; the device's own default takes its place."""
    return Request(_RTM_DELQDISC, 0, _TCMSG.pack(0, 0, 0, ifindex, 0, ROOT, 0), "delete the root qdisc")


def _tc(message: int, ifindex: int, kind: str, handle: int, parent: int, options: bytes | None) -> Request:
    body = _TCMSG.pack(0, 0, 0, ifindex, handle, parent, 0) + attr_text(_TCA_KIND, kind)
    if options is not None:
        body += attr(_TCA_OPTIONS, options)
    return Request(message, _NEW, body, f"add qdisc {kind}")


@lru_cache(maxsize=1024)
def _encoded(kind: str, options: tuple[tuple[str, int | float], ...]) -> bytes | None:
    return _CODECS[kind][0](dict(options))


def dump(sock: NetlinkSocket, class_of: set[int] | None = None) -> list[QdiscState]:
    """Every qdisc of the socket's namespace; htb carries its class's rate. Raises NetlinkError.

    class_of: ask for classes of these devices only (those known to have an htb); None asks wherever there
    is one.
    """
    ask = Request(_RTM_GETQDISC, NLM_F_DUMP, _TCMSG.pack(0, 0, 0, 0, 0, 0, 0), "list the qdiscs")
    found = [_state(body) for body in sock.ask(ask)]
    for state in found:
        if state.kind == "htb" and (class_of is None or state.ifindex in class_of):
            state.options.update(_htb_rate(sock, state))
    return found


def _state(body: bytes) -> QdiscState:
    _, _, _, ifindex, handle, parent, _ = _TCMSG.unpack_from(body)
    found = attrs(body, _TCMSG.size)
    kind = found[_TCA_KIND].rstrip(b"\0").decode()
    options: dict[str, int | float] = {}
    if kind in _CODECS and _TCA_OPTIONS in found:
        options = _CODECS[kind][1](found[_TCA_OPTIONS])
    return QdiscState(ifindex, kind, handle, parent, options, _statistics(found.get(_TCA_STATS2, b"")))


def _statistics(data: bytes) -> dict[str, int]:
    found = attrs(data)
    values: dict[str, int] = {}
    if basic := found.get(_TCA_STATS_BASIC):
        values["bytes"], values["packets"] = struct.unpack_from("=QI", basic)
    if queue := found.get(_TCA_STATS_QUEUE):
        names = ("queued_packets", "queued_bytes", "drops", "requeues", "overlimits")
        values.update(zip(names, struct.unpack_from("=5I", queue), strict=True))
    return values


def _htb_rate(sock: NetlinkSocket, qdisc: QdiscState) -> dict[str, int | float]:
    head = _TCMSG.pack(0, 0, 0, qdisc.ifindex, 0, 0, 0)
    for body in sock.ask(Request(_RTM_GETTCLASS, NLM_F_DUMP, head, "list the htb classes")):
        found = attrs(body, _TCMSG.size)
        if u32(body, 8) == qdisc.handle | HTB_CLASS_MINOR and _TCA_OPTIONS in found:
            inner = attrs(found[_TCA_OPTIONS])
            rate = _rate_from(inner[1], inner.get(6))
            return {"rate_bps": rate * 8, "burst_bytes": _ticks_to_bytes(u32(inner[1], 24), rate)}
    return {}


def _ratespec(rate_bytes: int) -> bytes:
    return _RATESPEC.pack(0, _LINKLAYER_ETHERNET, 0, 0, 0, min(rate_bytes, _U32_MAX))


def _rate_from(parameters: bytes, rate64: bytes | None) -> int:
    """Bytes per second from the structure, or from the 64-bit attribute that overrides it."""
    return int.from_bytes(rate64, _NATIVE) if rate64 else u32(parameters, 8)


def _ticks_to_bytes(ticks: int, rate_bytes: int) -> int:
    return round(ticks * TICK_NS * rate_bytes / 1e9)


def _bytes_to_ticks(size: int, rate_bytes: int) -> int:
    return min(_U32_MAX, -(-size * 10**9 // (max(1, rate_bytes) * TICK_NS)))


def _tbf(options: Options) -> bytes:
    rate = max(1, int(options["rate_bps"]) // 8)
    limit, burst = int(options["limit_bytes"]), int(options["burst_bytes"])
    parameters = _ratespec(rate) + bytes(12) + struct.pack("=III", limit, _bytes_to_ticks(burst, rate), 0)
    rate64 = attr(4, struct.pack("=Q", rate)) if rate > _U32_MAX else b""
    return attr(1, parameters) + rate64 + attr_u32(6, burst)


def _tbf_back(data: bytes) -> dict[str, int | float]:
    found = attrs(data)
    rate = _rate_from(found[1], found.get(4))
    limit, ticks = struct.unpack_from("=II", found[1], 24)
    return {"rate_bps": rate * 8, "burst_bytes": _ticks_to_bytes(ticks, rate), "limit_bytes": limit}


def _htb(_: Options) -> bytes:
    # A default that names no class would let everything pass unshaped; ours is installed with the qdisc.
    return attr(2, struct.pack("=5I", 3, 10, HTB_CLASS_MINOR, 0, 0))


def _htb_back(_: bytes) -> dict[str, int | float]:
    return {}  # what was asked for is in the class


def _htb_class(options: Options) -> bytes:
    rate = max(1, int(options["rate_bps"]) // 8)
    ticks = _bytes_to_ticks(int(options["burst_bytes"]), rate)
    # Only one class borrows from nobody, so the quantum decides nothing; said, so that the kernel does not
    # warn.
    quantum = min(max(rate // 10, 1514), 200_000)
    parameters = _ratespec(rate) * 2 + struct.pack("=5I", ticks, ticks, quantum, 0, 0)
    wide = struct.pack("=Q", rate)
    rate64 = attr(6, wide) + attr(7, wide) if rate > _U32_MAX else b""
    return attr(1, parameters) + rate64


def _netem(options: Options) -> bytes:
    delay, jitter = int(options.get("delay_ns", 0)), int(options.get("jitter_ns", 0))
    reorder = _probability(options.get("reorder", 0))
    fixed = struct.pack(
        "=6I",
        min(delay // TICK_NS, _U32_MAX),
        int(options["limit"]),
        _probability(options.get("loss", 0)),
        1 if reorder else 0,  # gap: without one there is no reordering, whatever its probability
        _probability(options.get("duplicate", 0)),
        min(jitter // TICK_NS, _U32_MAX),
    )
    exact = attr(10, struct.pack("=q", delay)) + attr(11, struct.pack("=q", jitter))
    return fixed + (attr(3, struct.pack("=II", reorder, 0)) if reorder else b"") + exact


def _netem_back(data: bytes) -> dict[str, int | float]:
    delay, limit, loss, gap, duplicate, jitter = struct.unpack_from("=6I", data)
    found = attrs(data, 24)
    exact = [found.get(kind) for kind in (10, 11)]
    delay, jitter = (
        int.from_bytes(wide, _NATIVE, signed=True) if wide else ticks * TICK_NS
        for wide, ticks in zip(exact, (delay, jitter), strict=True)
    )
    reorder = u32(found[3]) if gap and 3 in found else 0
    shares = {"loss": loss, "duplicate": duplicate, "reorder": reorder}
    return {
        "delay_ns": delay,
        "jitter_ns": jitter,
        **{name: value / _U32_MAX for name, value in shares.items()},
        "limit": limit,
    }


def _probability(share: float) -> int:
    return round(share * _U32_MAX)


def _fifo(options: Options) -> bytes | None:
    # No options at all: the kernel's default. An empty structure would mean a limit of 0, which drops
    # everything.
    return struct.pack("=I", int(options["limit"])) if "limit" in options else None


def _fifo_back(data: bytes) -> dict[str, int | float]:
    return {"limit": u32(data)}


def _sfq(options: Options) -> bytes | None:
    return struct.pack("=IiIII", 0, 0, int(options["limit"]), 0, 0) if "limit" in options else None


def _sfq_back(data: bytes) -> dict[str, int | float]:
    return {"limit": u32(data, 8)}


def _limit_in(
    kind: int,
) -> tuple[Callable[[Options], bytes | None], Callable[[bytes], dict[str, int | float]]]:
    """The codec of a qdisc whose limit is the 32-bit attribute `kind`."""

    def encode(options: Options) -> bytes | None:
        return attr_u32(kind, int(options["limit"])) if "limit" in options else None

    def decode(data: bytes) -> dict[str, int | float]:
        found = attrs(data)
        return {"limit": u32(found[kind])} if kind in found else {}

    return encode, decode


_CODECS: dict[str, tuple[Callable[[Options], bytes | None], Callable[[bytes], dict[str, int | float]]]] = {
    "tbf": (_tbf, _tbf_back),
    "htb": (_htb, _htb_back),
    "netem": (_netem, _netem_back),
    "pfifo": (_fifo, _fifo_back),
    "bfifo": (_fifo, _fifo_back),
    "sfq": (_sfq, _sfq_back),
    "fq": _limit_in(1),
    "codel": _limit_in(2),
    "fq_codel": _limit_in(2),
    "cake": (lambda _: None, lambda _: {}),
}
KINDS = tuple(_CODECS)


def differences(requested: Options, read_back: Options) -> list[str]:
    """What the kernel reports otherwise than it was asked for, in words; empty when all is as requested.

    The kernel counts rates in bytes per second, bursts in 64 ns of the rate and shares in 2^-32: within that
    rounding, values are equal.
    """
    words = []
    for name, want in requested.items():
        got = read_back.get(name)
        if got is None or abs(got - want) > _rounding(name, want, requested):
            words.append(f"{name} {got if got is not None else 'missing'} instead of {want}")
    return words


def _rounding(name: str, want: float, requested: Options) -> float:
    if name == "rate_bps":
        return 7
    if name == "burst_bytes":
        return 1 + want / 1000 + 2 * TICK_NS * 1e-9 * requested["rate_bps"] / 8
    if name in ("loss", "duplicate", "reorder"):
        return 1e-9
    return 0
