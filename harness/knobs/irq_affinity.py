"""Interrupt affinity: the CPUs that a NIC's interrupts go to."""

from __future__ import annotations

from pydantic import Field

from harness.knobs.base import Knob, KnobEffect, Seen
from harness.units import CpuSet, format_cpus

# x86 moves an MSI without remapping at its next interrupt, which still comes on the old CPU (effective_affinity_list
# shows it): an idle queue's, which igb's watchdog rings every 2 s, may come in the measured window.
_STRAYS_OF_A_LINE = 1


class IrqAffinity(Knob):
    """smp_affinity_list of every interrupt of the node's NICs.

    Source: Documentation/core-api/irq/irq-affinity.rst. A veth pair has no interrupts.
    """

    name = "irq_affinity"
    scope = "device"
    phase = "steering"
    target = "irq"

    cpus: CpuSet = Field(description="CPUs that the interrupts of the node's NICs go to")

    def effect(self, seen: Seen) -> KnobEffect:
        """It took effect if these CPUs took the NICs' interrupts; one of each line may have come elsewhere."""
        total = sum(sum(by_cpu.values()) for by_cpu in seen.irqs.values())
        if not total:
            return KnobEffect(None, "no interrupt came during the run")
        strays = [sum(count for cpu, count in by_cpu.items() if cpu not in self.cpus) for by_cpu in seen.irqs.values()]
        there = total - sum(strays)
        moved = there > 0 and max(strays) <= _STRAYS_OF_A_LINE
        return KnobEffect(moved, f"{there} of {total} interrupts came on CPU {format_cpus(self.cpus)}")
