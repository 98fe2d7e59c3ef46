"""Installed qdiscs as the kernel reports them, decoded by pyroute2: what our encoders got wrong shows here.

A decoder of our own would share their mistakes. pyroute2 decodes what our own socket received: its sockets cost a
child process or an event loop for each namespace. Importing it takes 0.1 s, so that waits for the first qdisc to
read, and a testbed without shaping goes without.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.kernel import netem
from harness.kernel.netem import TICK_NS, U32_MAX, Options, Values
from harness.kernel.netlink import NLM_F_DUMP, NetlinkSocket, Request, attrs, u32
from harness.kernel.netns import in_netns
from harness.kernel.qdiscs import CLASS_MINOR, LEAF_ATTRIBUTES, TCA_OPTIONS, TCMSG

_RTM_GETQDISC, _RTM_GETTCLASS = 38, 42
_HEADER_BYTES = 16

# What pyroute2 0.9.7 lacks, and we decode ourselves: the options of fq, dualpi2, bfifo, red and classes of hfsc, some
# of netem's, and the finer form of a field that pyroute2 does decode.
_RED_PARMS, _HFSC_USC = 1, 3
_TBF_RATE64 = 4

# A class of htb among the kinds, which has options of its own.
_HTB_CLASS = "htb class"
_TCA_KIND = 1
# Counters are read twice a run for each qdisc: struct gnet_stats_basic and gnet_stats_queue, by ourselves.
_TCA_STATS2, _BASIC, _QUEUE, _APP = 7, 1, 3, 4
# Of fq, in struct tc_fq_qd_stats.
_UNTHROTTLE_LATENCY_AT = 76

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
        counted = self._counted()
        if _BASIC not in counted or _QUEUE not in counted:
            return {}
        size, packets = struct.unpack_from("=QI", counted[_BASIC])
        queued, backlog, drops, requeues, overlimits = struct.unpack_from("=5I", counted[_QUEUE])
        return {
            "bytes": size,
            "packets": packets,
            "queued_packets": queued,
            "queued_bytes": backlog,
            "drops": drops,
            "requeues": requeues,
            "overlimits": overlimits,
        }

    def unthrottled_late_ns(self) -> int:
        """Of fq: how late packets leave that wait for their time, its own moving average; 0 if it does not say."""
        own = self._counted().get(_APP, b"")
        return u32(own, _UNTHROTTLE_LATENCY_AT) if len(own) >= _UNTHROTTLE_LATENCY_AT + 4 else 0

    def _counted(self) -> dict[int, bytes]:
        return attrs(attrs(self.message, _HEADER_BYTES + TCMSG.size).get(_TCA_STATS2, b""))


def qdisc_dump(netns: int | str | Path) -> list[QdiscState]:
    """Every qdisc of a namespace (descriptor, path or name) with options and statistics. Raises OSError."""
    with in_netns(netns), NetlinkSocket() as sock:
        return dump(sock)


def dump(sock: NetlinkSocket, chosen: Collection[tuple[int, int]] | None = None) -> list[QdiscState]:
    """The qdiscs of the socket's namespace; htb and hfsc carry their class's rate. Raises NetlinkError.

    chosen: (ifindex, handle) of those to decode, as decoding is the slow part; None takes them all.
    """
    states: list[QdiscState] = []
    for message in _all(sock, _RTM_GETQDISC, 0, "list the qdiscs"):
        _, _, _, ifindex, handle, _, _ = TCMSG.unpack_from(message, _HEADER_BYTES)
        if chosen is None or (ifindex, handle) in chosen:
            state = _state(message)
            if state.kind in ("htb", "hfsc"):
                state.options.update(_class_rate(sock, state))
            states.append(state)
    return states


def _all(sock: NetlinkSocket, message: int, ifindex: int, attempted: str) -> list[bytes]:
    return sock.messages(Request(message, NLM_F_DUMP, TCMSG.pack(0, 0, 0, ifindex, 0, 0, 0), attempted))


def load_decoder() -> None:
    """Load pyroute2's now, in place of when the first qdisc is read."""
    import pyroute2.netlink.rtnl.tcmsg  # noqa: F401


def _decoded(message: bytes) -> Any:
    from pyroute2.netlink.rtnl.tcmsg import tcmsg

    decoded = tcmsg(message)
    decoded.decode()
    return decoded


def _state(message: bytes) -> QdiscState:
    _, _, _, ifindex, handle, parent, _ = TCMSG.unpack_from(message, _HEADER_BYTES)
    attributes = attrs(message, _HEADER_BYTES + TCMSG.size)
    kind = attributes[_TCA_KIND].rstrip(b"\0").decode()
    values = _once(kind, attributes.get(TCA_OPTIONS), message) if kind in _READERS else {}
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


def _class_rate(sock: NetlinkSocket, qdisc: QdiscState) -> Values:
    """What the one class of a qdisc of ours says: there is the rate that was asked for."""
    for message in _all(sock, _RTM_GETTCLASS, qdisc.ifindex, f"list the {qdisc.kind} classes"):
        if TCMSG.unpack_from(message, _HEADER_BYTES)[4] == qdisc.handle | CLASS_MINOR:
            raw = attrs(message, _HEADER_BYTES + TCMSG.size).get(TCA_OPTIONS)
            return _once(_HTB_CLASS, raw, message) if qdisc.kind == "htb" else hfsc_class(raw or b"")
    return {}


def _tbf(options: Any, raw: bytes) -> Values:
    parameters = options.get_attr("TCA_TBF_PARMS")
    rate = netem.finer(parameters["rate"], attrs(raw).get(_TBF_RATE64))
    return {
        "rate_bps": rate * 8,
        "burst_bytes": _ticks_to_bytes(parameters["buffer"], rate),
        "limit_bytes": parameters["limit"],
    }


def _htb_class(options: Any, _: bytes) -> Values:
    parameters = options.get_attr("TCA_HTB_PARMS")
    rate = options.get_attr("TCA_HTB_RATE64") or parameters["rate"]
    return {"rate_bps": rate * 8, "burst_bytes": _ticks_to_bytes(parameters["buffer"], rate)}


def hfsc_class(raw: bytes) -> Values:
    """The upper limit of a class of hfsc, which pyroute2 does not decode."""
    curve = attrs(raw).get(_HFSC_USC, b"")
    return {"rate_bps": 8 * u32(curve, 8)} if len(curve) >= 12 else {}


def _red(_: Any, raw: bytes) -> Values:
    limit, low, high, _, _, _, flags = struct.unpack_from("=IIIBBBB", attrs(raw)[_RED_PARMS])
    return {"limit": limit, "min": low, "max": high, "ecn": flags & 1}


def _numbered(kind: str) -> Callable[[Any, bytes], Values]:
    """The reader of a qdisc each of whose options is an attribute; pyroute2 does not know all of them."""
    numbers = LEAF_ATTRIBUTES[kind]

    def read(_: Any, raw: bytes) -> Values:
        attributes = attrs(raw)
        return {name: u32(attributes[number]) for name, number in numbers.items() if number in attributes}

    return read


# What the kernel keeps of red only in forms from which it cannot be told again: logarithms and a table.
_NOT_TOLD = ("avpkt", "burst", "probability", "red_rate_bps")
# htb, hfsc and cake have no option of ours: what the first two are asked for is in their class.
_READERS: Mapping[str, Callable[[Any, bytes], Values]] = {
    "tbf": _tbf,
    "red": _red,
    "netem": netem.decoded,
    # pyroute2 takes the limit of pfifo for a signed number.
    "pfifo": lambda options, _: {"limit": options["limit"] & U32_MAX},
    "bfifo": lambda _, raw: {"limit": u32(raw)},
    "sfq": lambda options, _: {"limit": options["limit"]},
    **{kind: _numbered(kind) for kind in LEAF_ATTRIBUTES},
    _HTB_CLASS: _htb_class,
}


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
        # Of what the kernel leaves out where it is 0.
        got = read_back.get(name, None if want else 0)
        if got is None or abs(got - want) > _rounding(name, want, requested):
            words.append(f"{name} {got if got is not None else 'missing'} instead of {want}")
    return words


def _rounding(name: str, want: float, requested: Options) -> float:
    if name == "rate_bps":
        return 7
    if name == "burst_bytes":
        return 1 + want / 1000 + 2 * TICK_NS * 1e-9 * requested["rate_bps"] / 8
    if name in netem.SHARES:
        return 1e-9
    if name == "ce_threshold_us":
        # codel counts in 1.024 us.
        return 2
    return 0
