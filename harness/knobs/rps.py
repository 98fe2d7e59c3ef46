"""RPS: received packets steered to chosen CPUs in software."""

from __future__ import annotations

from pydantic import Field

from harness.knobs.base import Knob, KnobEffect, Seen, Setting
from harness.units import CpuSet


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
        """Packets that were steered, as softnet_stat counts them (a packet already on its CPU is not steered)."""
        return KnobEffect(
            seen.rps_packets > 0, f"{seen.rps_packets} packets steered (softnet_stat received_rps)"
        )
