"""The parameters of random early detection (RED) in the kernel's words: logarithms, and a table of idle times."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

from harness.kernel.netlink import attr, attr_u32

_PARMS, _STAB, _MAX_P = 1, 2, 3
_ECN = 1
_STEPS = 256
_OLDEST = 31  # halvings after which an average has faded


def encode(options: Mapping[str, int | float]) -> bytes:
    """{limit, min, max, avpkt (bytes), burst (packets), red_rate_bps, probability, ecn (0, 1)} as TCA_OPTIONS."""
    low, high = int(options["min"]), int(options["max"])
    weight = _weight(low, int(options["burst"]), int(options["avpkt"]))
    slope = _slope(high - low, float(options["probability"]))
    table, cell = _idle(weight, int(options["avpkt"]), float(options["red_rate_bps"]))
    flags = _ECN if options.get("ecn") else 0
    parameters = struct.pack("=IIIBBBB", int(options["limit"]), low, high, weight, slope, cell, flags)
    largest = min(round(float(options["probability"]) * 2**32), 2**32 - 1)
    return attr(_PARMS, parameters) + attr(_STAB, table) + attr_u32(_MAX_P, largest)


def _weight(low: int, burst: int, packet: int) -> int:
    """-log2 of the weight of one packet in the moving average, so that `burst` packets in a row pass."""
    room = burst + 1 - low / packet
    for log in range(1, 32):
        share = 2.0**-log
        if room <= (1 - (1 - share) ** burst) / share:
            return log
    raise ValueError(f"a burst of {burst} packets of {packet} bytes does not fit below {low} bytes")


def _slope(span: int, probability: float) -> int:
    """-log2, rounded up, of how fast the probability grows with each byte between the two thresholds."""
    return max(0, math.floor(math.log2(span / probability)) + 1)


def _idle(weight: int, packet: int, rate_bps: float) -> tuple[bytes, int]:
    """(by how many halvings the average fades in each step of idle time, -log2 of us per step)."""
    packet_us = packet * 8 / rate_bps * 1e6
    fading = -math.log(1 - 2.0**-weight) / packet_us
    cell = 0
    while _OLDEST / fading / (1 << cell) >= 2 * _STEPS and cell < _OLDEST:
        cell += 1
    steps = [min(int((number << cell) * fading), _OLDEST) for number in range(_STEPS - 1)]
    return bytes([*steps, _OLDEST]), cell
