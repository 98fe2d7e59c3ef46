"""Interrupt affinity: the CPUs that a NIC's interrupts go to."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harness.knobs.base import Effect, Knob, KnobModel, Seen, Setting
from harness.units import CpuSet, format_cpus

# An interrupt that was moved may still come on its old CPU once, the next time: one of each vector.
_LEAST_SHARE = 0.99


class IrqAffinitySettings(KnobModel):
    """Source: Documentation/core-api/irq/irq-affinity.rst. A veth pair has no interrupts."""

    cpus: CpuSet = Field(description="CPUs that the interrupts of the node's NICs go to")


class IrqAffinity(Knob):
    """smp_affinity_list of every interrupt of the node's NICs."""

    name = "irq_affinity"
    scope = "device"
    Model = IrqAffinitySettings

    @classmethod
    def settings(cls, model: Any) -> list[Setting]:
        """One list for all interrupts of all the node's NICs."""
        return [Setting("irq", "cpus", list(model.cpus))]

    @classmethod
    def effect(cls, model: Any, seen: Seen) -> Effect:
        """The share of the NICs' interrupts that these CPUs took during the run."""
        total = sum(seen.irqs_by_cpu.values())
        there = sum(count for cpu, count in seen.irqs_by_cpu.items() if cpu in model.cpus)
        if not total:
            return Effect(None, "no interrupt came during the run")
        return Effect(
            there >= _LEAST_SHARE * total,
            f"{there} of {total} interrupts came on CPU {format_cpus(model.cpus)}",
        )
