"""RFS: received packets steered to the CPU on which their program last read."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from harness.knobs.base import Knob, KnobEffect, Seen, Setting
from harness.knobs.rps import steered_effect
from harness.units import Count

_DEAF = "the kernel does not note where it is read, and RFS never steers its packets"


def power_of_two(entries: int) -> int:
    """The kernel makes any other size the next one of these, and would read back otherwise."""
    if entries & (entries - 1):
        raise ValueError(f"{entries} is no power of two, and the kernel takes {1 << entries.bit_length()} for it")
    return entries


Entries = Annotated[Count, Field(ge=0, le=2**29), AfterValidator(power_of_two)]


class Rfs(Knob):
    """rps_flow_cnt of every receive queue. Nothing is steered while the host's table has no entries (`host_receive`).

    It learns from TCP, and from UDP sockets that are connected: a server's UDP socket, which is not, is never steered.

    Source: Documentation/networking/scaling.rst, "RFS". The same setting is what accelerated RFS goes by.
    """

    name = "rfs"
    scope = "device"
    phase = "steering"
    needs = ("rps",)

    flow_count: Entries = Field(description="flows that a receive queue keeps apart: 0, or a power of two")

    def settings(self) -> list[Setting]:
        """One size for all receive queues."""
        return [Setting("rx_queue", "rps_flow_cnt", self.flow_count)]

    def effect(self, seen: Seen) -> KnobEffect:
        """Packets that were steered, where nothing else on the node steers."""
        if not self.flow_count:
            return KnobEffect(None, "RFS is off")
        effect = steered_effect(seen, "rps")
        if effect.took is False and seen.protocol == "udp":
            return KnobEffect(
                False, f"{effect.evidence}: of a UDP socket that is not connected, as a server's, {_DEAF}"
            )
        return effect
