"""XPS: which transmit queue a CPU sends by."""

from __future__ import annotations

from pydantic import Field

from harness.knobs.base import Knob, KnobEffect, Seen, Setting
from harness.units import CpuSet


class Xps(Knob):
    """xps_cpus of the transmit queues of the node's devices.

    A packet that leaves a veth by a queue comes in by the peer's queue of that number: there, the sender's CPU chooses
    the NAPI. Source: Documentation/networking/scaling.rst, "XPS". With one queue there is nothing to choose.
    """

    name = "xps"
    scope = "device"
    phase = "steering"

    queues: tuple[CpuSet, ...] = Field(
        min_length=2, max_length=4096, description='CPUs that send by each transmit queue, the first first: ["0", "1"]'
    )

    def settings(self) -> list[Setting]:
        """A mask for each queue."""
        return [Setting("tx_queue", "xps_cpus", list(cpus), queues=(queue,)) for queue, cpus in enumerate(self.queues)]

    def named_cpus(self) -> dict[str, tuple[int, ...]]:
        """Those of all queues."""
        return {"queues": tuple(sorted({cpu for cpus in self.queues for cpu in cpus}))}

    def effect(self, seen: Seen) -> KnobEffect:
        """Unknown: what a queue sent is counted by some drivers only, and flows may have chosen the same by chance."""
        return KnobEffect(None, "read back as requested; the NAPIs that fed the other end show which queues were used")
