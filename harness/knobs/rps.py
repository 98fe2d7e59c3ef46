"""RPS: received packets steered to chosen CPUs in software."""

from __future__ import annotations

from pydantic import Field

from harness.knobs.base import Knob, KnobEffect, Seen, Setting
from harness.units import CpuSet

# The count is the host's: fewer than this share of what arrived here may be those of any other program.
_SHARE = 0.01


class Rps(Knob):
    """rps_cpus of every receive queue of the node's devices.

    Source: Documentation/networking/scaling.rst, "RPS".
    """

    name = "rps"
    scope = "device"
    phase = "steering"
    needs = ("rps",)

    cpus: CpuSet = Field(description="CPUs that packets received by the node's devices are steered to")

    def settings(self) -> list[Setting]:
        """One mask for all receive queues."""
        return [Setting("rx_queue", "rps_cpus", list(self.cpus))]

    def effect(self, seen: Seen) -> KnobEffect:
        """Packets that were steered, where nothing else on the node steers."""
        return steered_effect(seen, "rfs")


def steered_effect(seen: Seen, other: str) -> KnobEffect:
    """The proof of RPS or RFS: packets that were steered, as softnet_stat counts them (not those on their CPU already).

    The count is of the whole host: only what other nodes that steer cannot have steered is this one's. other: the knob
    that may have, on this node.
    """
    text = f"{seen.rps_packets} packets steered (softnet_stat received_rps)"
    if not seen.rps_packets and seen.backlog_ns:
        # Found in a guest of 6.12: the count is of the interrupt that wakes a softirq, and these are woken without.
        text = f"the kernel's threads of backlogs (thread_backlog_napi) had {seen.backlog_ns / 1e6:.3g} ms of CPU"
        return KnobEffect(None, f"{text}; what they take in is not counted as steered, `trace: polls` tells")
    if not seen.rps_packets:
        return KnobEffect(False, text)
    text += ", counted on the whole host"
    if other in seen.beside:
        return KnobEffect(None, f"{text}: nothing tells whether by this or by {other}")
    if seen.rps_packets <= seen.rps_elsewhere:
        return KnobEffect(None, f"{text}: RPS or RFS on other nodes can have steered them all")
    own = seen.rps_packets - seen.rps_elsewhere
    if seen.arrived is not None and own < _SHARE * seen.arrived:
        return KnobEffect(None, f"{text}: few beside the {seen.arrived} that arrived on {seen.node}")
    return KnobEffect(True, text)
