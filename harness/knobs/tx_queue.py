"""The length of a device's transmit queue, which some queueing disciplines go by."""

from __future__ import annotations

from pydantic import Field

from harness.knobs.base import Knob, KnobEffect, Seen
from harness.units import Count


class TxQueue(Knob):
    """tx_queue_len. Source: Documentation/ABI/testing/sysfs-class-net.

    pfifo_fast follows it; pfifo, bfifo and htb take it up when they are made without a limit. A link that is not shaped
    has no queueing discipline on a veth, and what shapes one here has limits of its own.
    """

    name = "tx_queue"
    scope = "device"
    phase = "features"
    target = "sysfs"

    tx_queue_len: Count = Field(ge=0, le=2**31 - 1, description="packets")

    def effect(self, seen: Seen) -> KnobEffect:
        """Unknown: a queue that is long enough does not show how long it could have become."""
        return KnobEffect(None, "read back as requested; no counter shows how long a queue could have become")
