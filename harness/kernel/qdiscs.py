"""Queueing disciplines on their way to the kernel: options in plain units, encoded (readback.py reads them)."""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from harness.kernel import netem
from harness.kernel.netem import TICK_NS, U32_MAX, Options
from harness.kernel.netlink import NLM_F_NEW, NLM_F_PUT, Request, attr, attr_text, attr_u32

Encoder = Callable[[Options], bytes | None]

ROOT = 0xFFFFFFFF
BLACKHOLE = "blackhole"
"""The kind of qdisc that drops all that comes; every kernel with qdiscs has it."""

_RTM_NEWQDISC, _RTM_DELQDISC, _RTM_NEWTCLASS, _RTM_DELTCLASS, _RTM_NEWTFILTER, _RTM_DELTFILTER = 36, 37, 40, 41, 44, 45
_TCA_KIND, TCA_OPTIONS = 1, 2
TCMSG = struct.Struct("=BBHiIII")

# Sizes are counted with their Ethernet header and computed by the kernel; the alternative, linklayer 0,
# would want the 1 KiB rate tables of old.
_LINKLAYER_ETHERNET = 1
_RATESPEC = struct.Struct("=BBHhHI")

CLASS_MINOR = 1

# The only filter of a qdisc, for packets of all protocols; the program of bpf itself says where they go. Source:
# linux/pkt_cls.h.
_ALL_PROTOCOLS = 1 << 16 | socket.htons(3)
_BPF_CLASS, _BPF_FD, _BPF_NAME, _BPF_FLAGS, _BPF_DIRECT = 3, 6, 7, 8, 1

# Random early detection. Source: linux/pkt_sched.h.
_RED_PARMS, _RED_STAB, _RED_MAX_P, _RED_ECN = 1, 2, 3, 1
_RED_STEPS = 256
_RED_OLDEST = 31  # halvings after which an average has faded


def new_qdisc(
    ifindex: int, kind: str, handle: int, parent: int, options: Options, table: Sequence[int] = ()
) -> list[Request]:
    """The requests that install a qdisc. The kernel answers ENOENT when it has no such kind.

    Options by kind: tbf, htb {rate_bps, burst_bytes, limit_bytes (tbf)}; hfsc {rate_bps}; red: see _red; netem: see
    kernel.netem; the others {limit, ce_threshold_us, ecn} as far as they have them, none meaning the kernel's default.
    For htb and hfsc it is the qdisc and its one class, HANDLE:1, to which all packets go. table: of netem, what its
    delay is drawn from, in 1/8192 of the jitter; none for an even spread.
    """
    encoded = _encoded(kind, tuple(options.items()))
    if table:
        encoded = (encoded or b"") + netem.table_attribute(table)
    made = [_tc(_RTM_NEWQDISC, ifindex, kind, handle, parent, encoded)]
    if kind in _CLASSES:
        payload = _CLASSES[kind](options)
        made.append(_tc(_RTM_NEWTCLASS, ifindex, kind, handle | CLASS_MINOR, handle, payload))
    return made


def change_qdisc(ifindex: int, kind: str, handle: int, parent: int, options: Options) -> Request:
    """The request that gives an installed qdisc other options, as in `new_qdisc`; what waits in it stays, as does the
    table of netem.

    For htb and hfsc that is their class.
    """
    if kind in _CLASSES:
        return _tc(_RTM_NEWTCLASS, ifindex, kind, handle | CLASS_MINOR, handle, _CLASSES[kind](options), 0)
    return _tc(_RTM_NEWQDISC, ifindex, kind, handle, parent, _encoded(kind, tuple(options.items())), 0)


def block(ifindex: int, parent: int) -> Request:
    """Drop what is below a class, and whatever comes there from now on: the link is down, and keeps its addresses."""
    return _tc(_RTM_NEWQDISC, ifindex, BLACKHOLE, 0, parent, None, NLM_F_PUT)


def unblock(ifindex: int, kind: str, handle: int, parent: int, options: Options) -> Request:
    """Put a classless qdisc there again, an empty one; where it still is, it stays as it is."""
    return _tc(_RTM_NEWQDISC, ifindex, kind, handle, parent, _encoded(kind, tuple(options.items())), NLM_F_PUT)


def new_class(ifindex: int, kind: str, handle: int, parent: int, options: Options) -> Request:
    """Another class of htb or hfsc, with a number of its own, to which packets go when a filter says so."""
    return _tc(_RTM_NEWTCLASS, ifindex, kind, handle, parent, _CLASSES[kind](options))


def delete_class(ifindex: int, handle: int) -> Request:
    """Remove a class, and what is below it."""
    return Request(_RTM_DELTCLASS, 0, TCMSG.pack(0, 0, 0, ifindex, handle, 0, 0), "delete a class")


def new_filter(ifindex: int, parent: int, program: int) -> Request:
    """Have a BPF program (its descriptor) say where the packets of a qdisc go. ENOENT: the kernel lacks cls_bpf."""
    # The program names the minor half of a class; the major one is that of the class that is given here.
    options = attr_u32(_BPF_CLASS, parent | CLASS_MINOR)
    options += attr_u32(_BPF_FD, program) + attr_text(_BPF_NAME, "pollbench") + attr_u32(_BPF_FLAGS, _BPF_DIRECT)
    body = TCMSG.pack(0, 0, 0, ifindex, 0, parent, _ALL_PROTOCOLS) + attr_text(_TCA_KIND, "bpf")
    return Request(_RTM_NEWTFILTER, NLM_F_NEW, body + attr(TCA_OPTIONS, options), "add a filter bpf")


def delete_filter(ifindex: int, parent: int) -> Request:
    """Remove that filter."""
    body = TCMSG.pack(0, 0, 0, ifindex, 0, parent, _ALL_PROTOCOLS)
    return Request(_RTM_DELTFILTER, 0, body, "delete a filter")


def delete_root(ifindex: int) -> Request:
    """Remove the root qdisc, and all below it; the device's own default takes its place."""
    return Request(_RTM_DELQDISC, 0, TCMSG.pack(0, 0, 0, ifindex, 0, ROOT, 0), "delete the root qdisc")


def _tc(
    message: int, ifindex: int, kind: str, handle: int, parent: int, options: bytes | None, flags: int = NLM_F_NEW
) -> Request:
    body = TCMSG.pack(0, 0, 0, ifindex, handle, parent, 0) + attr_text(_TCA_KIND, kind)
    if options is not None:
        body += attr(TCA_OPTIONS, options)
    return Request(message, flags, body, f"{'add' if flags == NLM_F_NEW else 'change'} qdisc {kind}")


@lru_cache(maxsize=1024)
def _encoded(kind: str, options: tuple[tuple[str, int | float], ...]) -> bytes | None:
    return _ENCODERS[kind](dict(options))


def _ratespec(rate_bytes: int) -> bytes:
    return _RATESPEC.pack(0, _LINKLAYER_ETHERNET, 0, 0, 0, min(rate_bytes, U32_MAX))


def _bytes_to_ticks(size: int, rate_bytes: int) -> int:
    return min(U32_MAX, -(-size * 10**9 // (max(1, rate_bytes) * TICK_NS)))


def _tbf(options: Options) -> bytes:
    rate = max(1, int(options["rate_bps"]) // 8)
    limit, burst = int(options["limit_bytes"]), int(options["burst_bytes"])
    parameters = _ratespec(rate) + bytes(12) + struct.pack("=III", limit, _bytes_to_ticks(burst, rate), 0)
    rate64 = attr(4, struct.pack("=Q", rate)) if rate > U32_MAX else b""
    return attr(1, parameters) + rate64 + attr_u32(6, burst)


def _htb_class(options: Options) -> bytes:
    rate = max(1, int(options["rate_bps"]) // 8)
    ticks = _bytes_to_ticks(int(options["burst_bytes"]), rate)
    # Only one class borrows from nobody, so the quantum decides nothing; said, so that the kernel does not warn.
    quantum = min(max(rate // 10, 1514), 200_000)
    parameters = _ratespec(rate) * 2 + struct.pack("=5I", ticks, ticks, quantum, 0, 0)
    wide = struct.pack("=Q", rate)
    rate64 = attr(6, wide) + attr(7, wide) if rate > U32_MAX else b""
    return attr(1, parameters) + rate64


def _hfsc_class(options: Options) -> bytes:
    """The rate as guarantee (real-time and link-sharing) and as upper limit."""
    curve = struct.pack("=III", 0, 0, min(max(1, int(options["rate_bps"]) // 8), U32_MAX))
    return attr(1, curve) + attr(2, curve) + attr(3, curve)


def _red(options: Options) -> bytes:
    """{limit, min, max, avpkt (bytes), burst (packets), red_rate_bps, probability, ecn (0, 1)} as TCA_OPTIONS."""
    low, high = int(options["min"]), int(options["max"])
    weight = _red_weight(low, int(options["burst"]), int(options["avpkt"]))
    slope = _red_slope(high - low, float(options["probability"]))
    table, cell = _red_idle(weight, int(options["avpkt"]), float(options["red_rate_bps"]))
    flags = _RED_ECN if options.get("ecn") else 0
    parameters = struct.pack("=IIIBBBB", int(options["limit"]), low, high, weight, slope, cell, flags)
    largest = min(round(float(options["probability"]) * 2**32), 2**32 - 1)
    return attr(_RED_PARMS, parameters) + attr(_RED_STAB, table) + attr_u32(_RED_MAX_P, largest)


def _red_weight(low: int, burst: int, packet: int) -> int:
    """-log2 of the weight of one packet in the moving average, so that `burst` packets in a row pass."""
    room = burst + 1 - low / packet
    for log in range(1, 32):
        share = 2.0**-log
        if room <= (1 - (1 - share) ** burst) / share:
            return log
    raise ValueError(f"a burst of {burst} packets of {packet} bytes does not fit below {low} bytes")


def _red_slope(span: int, probability: float) -> int:
    """-log2, rounded up, of how fast the probability grows with each byte between the two thresholds."""
    return max(0, math.floor(math.log2(span / probability)) + 1)


def _red_idle(weight: int, packet: int, rate_bps: float) -> tuple[bytes, int]:
    """(by how many halvings the average fades in each step of idle time, -log2 of us per step)."""
    packet_us = packet * 8 / rate_bps * 1e6
    fading = -math.log(1 - 2.0**-weight) / packet_us
    cell = 0
    while _RED_OLDEST / fading / (1 << cell) >= 2 * _RED_STEPS and cell < _RED_OLDEST:
        cell += 1
    steps = [min(int((number << cell) * fading), _RED_OLDEST) for number in range(_RED_STEPS - 1)]
    return bytes([*steps, _RED_OLDEST]), cell


def _limited(encode: Callable[[int], bytes]) -> Encoder:
    """The encoder of a qdisc with a limit: nothing without it, for an empty structure would be a limit of 0."""
    return lambda options: encode(int(options["limit"])) if "limit" in options else None


def _numbered(numbers: Mapping[str, int]) -> Encoder:
    """The encoder of a qdisc each of whose options is an attribute."""
    return lambda options: b"".join(attr_u32(numbers[name], int(value)) for name, value in options.items()) or None


# The attribute of each option of ours, 32 bits. Of dualpi2 the threshold is that of its queue for L4S.
LEAF_ATTRIBUTES: dict[str, dict[str, int]] = {
    "fq": {"limit": 1, "ce_threshold_us": 12},
    "codel": {"limit": 2, "ecn": 4, "ce_threshold_us": 5},
    "fq_codel": {"limit": 2, "ecn": 4, "ce_threshold_us": 7},
    "dualpi2": {"limit": 1, "ce_threshold_us": 8},
}
# Of fq where it holds packets until times that they bear.
_FQ_TIMED = {"flow_limit": 2, "pacing": 5, "timer_slack_ns": 13, "horizon_us": 14}
_ENCODERS: dict[str, Encoder] = {
    "tbf": _tbf,
    # A default that names no class would let everything pass unshaped; ours is installed with the qdisc.
    "htb": lambda _: attr(2, struct.pack("=5I", 3, 10, CLASS_MINOR, 0, 0)),
    "hfsc": lambda _: struct.pack("=H", CLASS_MINOR),
    "red": lambda options: _red(options) if options else None,
    "netem": netem.encoded,
    "pfifo": _limited(struct.Struct("=I").pack),
    "bfifo": _limited(struct.Struct("=I").pack),
    "sfq": _limited(lambda limit: struct.pack("=IiIII", 0, 0, limit, 0, 0)),
    **{kind: _numbered(numbers) for kind, numbers in LEAF_ATTRIBUTES.items()},
    "fq": _numbered(LEAF_ATTRIBUTES["fq"] | _FQ_TIMED),
    "cake": lambda _: None,
}
KINDS = tuple(_ENCODERS)
_CLASSES: dict[str, Encoder] = {"htb": _htb_class, "hfsc": _hfsc_class}


def missing_reason(kind: str) -> str:
    """Why a qdisc kind is unknown to a kernel."""
    return f"this kernel has no qdisc {kind} (CONFIG_NET_SCH_{kind.upper()}, module sch_{kind})"


def missing_remedy(kind: str) -> str:
    """What a user can do about a missing qdisc kind."""
    if kind == "dualpi2":
        # Neither Debian's kernels nor the provided guests' have it so far.
        return f"use a kernel of Linux 6.17 or newer that has CONFIG_NET_SCH_{kind.upper()}, or another kind"
    return (
        f"load the module sch_{kind} (on Ubuntu: package linux-modules-extra), or use a kernel that has "
        f"CONFIG_NET_SCH_{kind.upper()}, as the generic kernels of Debian and Ubuntu have; "
        "or run it in a guest that has it: pollbench vm run FILE"
    )
