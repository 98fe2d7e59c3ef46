"""netem's options on their way to the kernel and back: the fixed part, and an attribute for each of what is rarer."""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from harness.kernel.netlink import attr, attr_u32, attrs, nest

Options = Mapping[str, int | float]
Values = dict[str, int | float]

TICK_NS = 64
"""The unit of times in the older tc structures, on every kernel since 2.6.31."""
U32_MAX = 2**32 - 1
MOST_SEED = 2**53

FIXED = struct.Struct("=6I")
_CORRELATIONS, _TABLE, _REORDER, _CORRUPT, _LOSS, _RATE, _ECN, _RATE64 = range(1, 9)
_DELAY64, _JITTER64, _SLOT, _, _SEED = range(10, 15)
_FOUR_STATES, _GILBERT_ELLIOTT = 1, 2
# Least and most time, packets, bytes; then a distribution of the time, which is not ours.
_SLOT_FIELDS = struct.Struct("=qqiiqq")
_PAIR, _RATE_FIELDS = struct.Struct("=II"), struct.Struct("=IiIi")

# Options that are shares, in the order of their structures: the kernel counts them in 2^-32.
_DRAWN_LIKE_BEFORE = ("delay_correlation", "loss_correlation", "duplicate_correlation")
_STATES = ("p13", "p31", "p32", "p14", "p23")
_BAD_TIMES = ("to_bad", "to_good", "bad_loss", "good_loss")
_SLOTTED = ("slot_least_ns", "slot_most_ns", "slot_packets", "slot_bytes")
SHARES = frozenset((
    "loss", "duplicate", "reorder", "corrupt", "reorder_correlation", "corrupt_correlation",
    *_DRAWN_LIKE_BEFORE, *_STATES, *_BAD_TIMES,
))  # fmt: skip


def encoded(options: Options) -> bytes:
    """TCA_OPTIONS of {rate_bps, delay_ns, jitter_ns, limit, gap, ecn, seed, SHARES, and of a slot _SLOTTED}."""
    delay, jitter = int(options.get("delay_ns", 0)), int(options.get("jitter_ns", 0))
    fixed = FIXED.pack(
        min(delay // TICK_NS, U32_MAX),
        int(options["limit"]),
        _probability(options, "loss"),
        # Without a gap there is no reordering, whatever its probability.
        int(options.get("gap", 1)) if options.get("reorder") else 0,
        _probability(options, "duplicate"),
        min(jitter // TICK_NS, U32_MAX),
    )
    parts = [fixed, attr(_DELAY64, struct.pack("=q", delay)), attr(_JITTER64, struct.pack("=q", jitter))]
    if any(name in options for name in _DRAWN_LIKE_BEFORE):
        parts.append(_shares(_CORRELATIONS, options, _DRAWN_LIKE_BEFORE))
    for number, name in ((_REORDER, "reorder"), (_CORRUPT, "corrupt")):
        if options.get(name):
            parts.append(_shares(number, options, (name, f"{name}_correlation")))
    if "p13" in options:
        parts.append(nest(_LOSS, _shares(_FOUR_STATES, options, _STATES)))
    elif "to_bad" in options:
        # Of a bad time the kernel is told what it lets through.
        kernels = {**options, "bad_loss": 1 - options["bad_loss"]}
        parts.append(nest(_LOSS, _shares(_GILBERT_ELLIOTT, kernels, _BAD_TIMES)))
    if rate := int(options.get("rate_bps", 0)) // 8:
        parts.append(attr(_RATE, _RATE_FIELDS.pack(min(rate, U32_MAX), 0, 0, 0)))
        parts.append(attr(_RATE64, struct.pack("=Q", rate)) if rate > U32_MAX else b"")
    if "ecn" in options:
        parts.append(attr_u32(_ECN, int(options["ecn"])))
    if "slot_least_ns" in options:
        parts.append(attr(_SLOT, _SLOT_FIELDS.pack(*(int(options[name]) for name in _SLOTTED), 0, 0)))
    if "seed" in options:
        parts.append(attr(_SEED, struct.pack("=Q", int(options["seed"]))))
    return b"".join(parts)


def table_attribute(table: Sequence[int]) -> bytes:
    """The attribute from whose values the delay is drawn. The kernel never tells it again."""
    return attr(_TABLE, struct.pack(f"={len(table)}h", *table))


def decoded(options: Any, raw: bytes) -> Values:
    """The same options of what the kernel says. options: as pyroute2 decodes it; raw: what it does not, or coarsely."""
    attributes = attrs(raw, FIXED.size)
    reorder = options.get_attr("TCA_NETEM_REORDER") if options["gap"] else None
    rate = options.get_attr("TCA_NETEM_RATE")
    values: Values = {}
    if rate and rate["rate"]:
        values["rate_bps"] = 8 * finer(rate["rate"], attributes.get(_RATE64))
    values |= {
        "delay_ns": finer(options["delay"], attributes.get(_DELAY64), TICK_NS),
        "jitter_ns": finer(options["jitter"], attributes.get(_JITTER64), TICK_NS),
        "loss": options["loss"] / U32_MAX,
        "duplicate": options["duplicate"] / U32_MAX,
        "reorder": reorder["prob_reorder"] / U32_MAX if reorder else 0,
        "limit": options["limit"],
    }
    rarer: Values = {"gap": options["gap"] if options["gap"] > 1 else 0}
    if correlations := options.get_attr("TCA_NETEM_CORR"):
        for name in ("delay", "loss", "dup"):
            rarer[f"{'duplicate' if name == 'dup' else name}_correlation"] = correlations[f"{name}_corr"] / U32_MAX
    if corrupt := options.get_attr("TCA_NETEM_CORRUPT"):
        rarer["corrupt"] = corrupt["prob_corrupt"] / U32_MAX
        rarer["corrupt_correlation"] = corrupt["corr_corrupt"] / U32_MAX
    if reorder:
        rarer["reorder_correlation"] = reorder["corr_reorder"] / U32_MAX
    rarer |= _loss_model(attrs(attributes.get(_LOSS, b"")))
    if len(slot := attributes.get(_SLOT, b"")) == _SLOT_FIELDS.size:
        rarer |= dict(zip(_SLOTTED, _SLOT_FIELDS.unpack(slot), strict=False))
    rarer["ecn"] = int.from_bytes(attributes.get(_ECN, b""), sys.byteorder)
    # Where none was asked for, the kernel tells the 64 bits that it drew: nobody's, and more than a record may hold.
    seed = int.from_bytes(attributes.get(_SEED, b""), sys.byteorder)
    rarer["seed"] = seed if seed <= MOST_SEED else 0
    return values | {name: value for name, value in rarer.items() if value}


def _loss_model(models: Mapping[int, bytes]) -> Values:
    for number, names in ((_FOUR_STATES, _STATES), (_GILBERT_ELLIOTT, _BAD_TIMES)):
        if number in models:
            shares = struct.unpack(f"={len(names)}I", models[number])
            values: Values = {name: share / U32_MAX for name, share in zip(names, shares, strict=True)}
            return values | ({"bad_loss": 1 - values["bad_loss"]} if "bad_loss" in values else {})
    return {}


def finer(coarse: int, exact: bytes | None, unit: int = 1) -> int:
    """A 32-bit count of `unit`s that pyroute2 decoded, or the 64-bit attribute, where there is one that agrees."""
    if exact is not None:
        value = int.from_bytes(exact, sys.byteorder)
        if min(value // unit, U32_MAX) == coarse:
            return value
    return coarse * unit


def _shares(number: int, options: Options, names: Sequence[str]) -> bytes:
    return attr(number, struct.pack(f"={len(names)}I", *(_probability(options, name) for name in names)))


def _probability(options: Options, name: str) -> int:
    return round(options.get(name, 0) * U32_MAX)
