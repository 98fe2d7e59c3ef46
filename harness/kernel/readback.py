"""Installed qdiscs as the kernel reports them, decoded by pyroute2: what our encoders got wrong shows here.

A decoder of our own would share their mistakes. pyroute2 decodes what our own socket received: its sockets cost a
child process or an event loop for each namespace. Importing it takes 0.1 s, so that waits for the first qdisc to
read, and a testbed without shaping goes without.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from harness.kernel.netlink import NLM_F_DUMP, NetlinkSocket, Request, attrs, u32
from harness.kernel.qdiscs import HTB_CLASS_MINOR, TCA_OPTIONS, TCMSG, TICK_NS, U32_MAX, Options

_RTM_GETQDISC, _RTM_GETTCLASS = 38, 42
_HEADER_BYTES = 16

# What pyroute2 0.9.7 lacks, and we decode ourselves: the options of fq, bfifo, red and classes of hfsc ...
_FQ_PLIMIT = 1
_RED_PARMS, _HFSC_USC = 1, 3
# ... and three attributes, each the finer form of a field that pyroute2 does decode (see _finer).
_TBF_RATE64 = 4
_NETEM_FIXED_BYTES, _NETEM_LATENCY64, _NETEM_JITTER64 = 24, 10, 11

# A class of htb among the kinds, which has options of its own.
_HTB_CLASS = "htb class"
_TCA_KIND = 1

Values = dict[str, int | float]

# What options say is in their bytes alone: a topology has many of the same.
_KNOWN_MOST = 4096
_known: dict[tuple[str, bytes], Values] = {}


class QdiscState(NamedTuple):
    """A qdisc as the kernel reports it; options in our units, empty for kinds that we do not install."""

    ifindex: int
    kind: str
    handle: int
    parent: int
    options: Values
    message: bytes  # the whole of it; what nobody asks for is not decoded

    @property
    def statistics(self) -> dict[str, int]:
        """Counters: bytes, packets, queued_packets, queued_bytes, drops, requeues, overlimits."""
        return _statistics(_decoded(self.message))


def dump(sock: NetlinkSocket, wanted: Collection[tuple[int, int]] | None = None) -> list[QdiscState]:
    """The qdiscs of the socket's namespace; htb carries its class's rate. Raises NetlinkError.

    wanted: (ifindex, handle) of those to decode, as decoding is the slow part; None takes them all.
    """
    found: list[QdiscState] = []
    for message in _all(sock, _RTM_GETQDISC, 0):
        _, _, _, ifindex, handle, _, _ = TCMSG.unpack_from(message, _HEADER_BYTES)
        if wanted is None or (ifindex, handle) in wanted:
            found.append(_state(message))
            if found[-1].kind == "htb":
                found[-1].options.update(_htb_rate(sock, found[-1]))
            if found[-1].kind == "hfsc":
                found[-1].options.update(_hfsc_rate(sock, found[-1]))
    return found


def _all(sock: NetlinkSocket, what: int, ifindex: int) -> list[bytes]:
    words = "list the qdiscs" if what == _RTM_GETQDISC else "list the htb classes"
    return sock.messages(Request(what, NLM_F_DUMP, TCMSG.pack(0, 0, 0, ifindex, 0, 0, 0), words))


def _decoded(message: bytes) -> Any:
    from pyroute2.netlink.rtnl.tcmsg import tcmsg

    found = tcmsg(message)
    found.decode()
    return found


def _state(message: bytes) -> QdiscState:
    _, _, _, ifindex, handle, parent, _ = TCMSG.unpack_from(message, _HEADER_BYTES)
    found = attrs(message, _HEADER_BYTES + TCMSG.size)
    kind = found[_TCA_KIND].rstrip(b"\0").decode()
    values = _once(kind, found.get(TCA_OPTIONS), message) if kind in _READERS else {}
    return QdiscState(ifindex, kind, handle, parent, values, message)


def _once(kind: str, raw: bytes | None, message: bytes) -> Values:
    """The options of a message by the reader of its kind; the same bytes are decoded only once."""
    if raw is None:
        return {}
    if (kind, raw) not in _known:
        if len(_known) >= _KNOWN_MOST:
            _known.clear()
        _known[kind, raw] = _READERS[kind](_decoded(message).get_attr("TCA_OPTIONS"), raw)
    return dict(_known[kind, raw])


def _statistics(found: Any) -> dict[str, int]:
    counted = found.get_attr("TCA_STATS2")
    if counted is None:
        return {}
    basic, queue = counted.get_attr("TCA_STATS_BASIC"), counted.get_attr("TCA_STATS_QUEUE")
    return {
        "bytes": basic["bytes"],
        "packets": basic["packets"],
        "queued_packets": queue["qlen"],
        "queued_bytes": queue["backlog"],
        "drops": queue["drops"],
        "requeues": queue["requeues"],
        "overlimits": queue["overlimits"],
    }


def _tbf(found: Any, raw: bytes) -> Values:
    parameters = found.get_attr("TCA_TBF_PARMS")
    rate = _finer(parameters["rate"], attrs(raw).get(_TBF_RATE64))
    return {
        "rate_bps": rate * 8,
        "burst_bytes": _ticks_to_bytes(parameters["buffer"], rate),
        "limit_bytes": parameters["limit"],
    }


def _htb(_: Any, __: bytes) -> Values:
    return {}  # what was asked for is in the class


def _htb_rate(sock: NetlinkSocket, qdisc: QdiscState) -> Values:
    for message in _all(sock, _RTM_GETTCLASS, qdisc.ifindex):
        if TCMSG.unpack_from(message, _HEADER_BYTES)[4] == qdisc.handle | HTB_CLASS_MINOR:
            return _once(_HTB_CLASS, attrs(message, _HEADER_BYTES + TCMSG.size).get(TCA_OPTIONS), message)
    return {}


def _htb_class(found: Any, _: bytes) -> Values:
    parameters = found.get_attr("TCA_HTB_PARMS")
    rate = found.get_attr("TCA_HTB_RATE64") or parameters["rate"]
    return {"rate_bps": rate * 8, "burst_bytes": _ticks_to_bytes(parameters["buffer"], rate)}


def _hfsc(_: Any, __: bytes) -> Values:
    return {}  # what was asked for is in the class


def _hfsc_rate(sock: NetlinkSocket, qdisc: QdiscState) -> Values:
    """The upper limit of our class; pyroute2 does not decode classes of hfsc."""
    for message in _all(sock, _RTM_GETTCLASS, qdisc.ifindex):
        if TCMSG.unpack_from(message, _HEADER_BYTES)[4] == qdisc.handle | HTB_CLASS_MINOR:
            return hfsc_class(attrs(message, _HEADER_BYTES + TCMSG.size).get(TCA_OPTIONS, b""))
    return {}


def hfsc_class(options: bytes) -> Values:
    """The options of a class of hfsc."""
    curve = attrs(options).get(_HFSC_USC, b"")
    return {"rate_bps": 8 * u32(curve, 8)} if len(curve) >= 12 else {}


def _red(_: Any, raw: bytes) -> Values:
    limit, low, high, _, _, _, flags = struct.unpack_from("=IIIBBBB", attrs(raw)[_RED_PARMS])
    return {"limit": limit, "min": low, "max": high, "ecn": flags & 1}


def _netem(found: Any, raw: bytes) -> Values:
    finer = attrs(raw, _NETEM_FIXED_BYTES)
    # Without a gap there is no reordering, whatever its probability.
    reorder = found.get_attr("TCA_NETEM_REORDER") if found["gap"] else None
    return {
        "delay_ns": _finer(found["delay"], finer.get(_NETEM_LATENCY64), TICK_NS),
        "jitter_ns": _finer(found["jitter"], finer.get(_NETEM_JITTER64), TICK_NS),
        "loss": found["loss"] / U32_MAX,
        "duplicate": found["duplicate"] / U32_MAX,
        "reorder": reorder["prob_reorder"] / U32_MAX if reorder else 0,
        "limit": found["limit"],
    }


def _pfifo(found: Any, _: bytes) -> Values:
    return {"limit": found["limit"] & U32_MAX}  # pyroute2 takes it for a signed number


def _bfifo(_: Any, raw: bytes) -> Values:
    return {"limit": u32(raw)}


def _sfq(found: Any, _: bytes) -> Values:
    return {"limit": found["limit"]}


def _fq(_: Any, raw: bytes) -> Values:
    found = attrs(raw)
    return {"limit": u32(found[_FQ_PLIMIT])} if _FQ_PLIMIT in found else {}


def _codel(found: Any, _: bytes) -> Values:
    return {"limit": found.get_attr("TCA_CODEL_LIMIT")}


def _fq_codel(found: Any, _: bytes) -> Values:
    return {"limit": found.get_attr("TCA_FQ_CODEL_LIMIT")}


def _cake(_: Any, __: bytes) -> Values:
    return {}  # no option of ours


# What the kernel keeps of red only in forms from which it cannot be told again: logarithms and a table.
_NOT_TOLD = ("avpkt", "burst", "probability", "red_rate_bps")
_READERS: Mapping[str, Callable[[Any, bytes], Values]] = {
    "tbf": _tbf,
    "htb": _htb,
    "hfsc": _hfsc,
    "red": _red,
    "netem": _netem,
    "pfifo": _pfifo,
    "bfifo": _bfifo,
    "sfq": _sfq,
    "fq": _fq,
    "codel": _codel,
    "fq_codel": _fq_codel,
    "cake": _cake,
    _HTB_CLASS: _htb_class,
}


def _finer(coarse: int, exact: bytes | None, unit: int = 1) -> int:
    """A 32-bit count of `unit`s that pyroute2 decoded, or the 64-bit attribute, where there is one that agrees."""
    if exact is not None:
        value = int.from_bytes(exact, sys.byteorder)
        if min(value // unit, U32_MAX) == coarse:
            return value
    return coarse * unit


def _ticks_to_bytes(ticks: int, rate_bytes: int) -> int:
    return round(ticks * TICK_NS * rate_bytes / 1e9)


def differences(requested: Options, read_back: Options) -> list[str]:
    """What the kernel reports otherwise than it was asked for, in words; empty when all is as requested.

    The kernel counts rates in bytes per second, bursts in 64 ns of the rate and shares in 2^-32: within that
    rounding, values are equal.
    """
    words = []
    for name, want in requested.items():
        if name in _NOT_TOLD:
            continue
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
