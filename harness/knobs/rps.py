"""RPS: received packets steered to chosen CPUs in software."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harness.knobs.base import Effect, Knob, KnobModel, Seen, Setting
from harness.units import CpuSet


class RpsSettings(KnobModel):
    """Source: Documentation/networking/scaling.rst, "RPS"."""

    cpus: CpuSet = Field(description="CPUs that packets received by the node's devices are steered to")


class Rps(Knob):
    """rps_cpus of every receive queue of the node's devices."""

    name = "rps"
    scope = "device"
    Model = RpsSettings

    @classmethod
    def capabilities(cls, model: Any) -> tuple[str, ...]:
        """RPS can be left out of a kernel."""
        return ("rps",)

    @classmethod
    def settings(cls, model: Any) -> list[Setting]:
        """One mask for all receive queues."""
        return [Setting("rx_queue", "rps_cpus", list(model.cpus))]

    @classmethod
    def effect(cls, model: Any, seen: Seen) -> Effect:
        """Packets that were steered, as softnet_stat counts them (a packet already on its CPU is not steered)."""
        return Effect(seen.rps_packets > 0, f"{seen.rps_packets} packets steered (softnet_stat received_rps)")
