"""Channels: how many queues a NIC uses, as `ethtool -L` sets them."""

from __future__ import annotations

from pydantic import Field, model_validator

from harness.knobs.base import Knob
from harness.units import Count


class Channels(Knob):
    """Written before all else: it makes queues, NAPIs and interrupts anew, and a NIC's link goes down and up.

    Source: ethtool(8), Documentation/networking/scaling.rst, "RSS". Each channel has a NAPI of its own.
    """

    name = "channels"
    scope = "device"
    phase = "queues"
    target = "channels"

    combined: Count | None = Field(
        None, ge=1, le=4096, description="queue pairs; whether a pair has one interrupt or two is the driver's choice"
    )
    rx: Count | None = Field(None, ge=1, le=4096, description="receive queues (veth has these)")
    tx: Count | None = Field(None, ge=1, le=4096, description="transmit queues (veth has these)")

    @model_validator(mode="after")
    def _sets_something(self) -> Channels:
        if self.combined is None and self.rx is None and self.tx is None:
            raise ValueError("nothing is set; expected combined, rx or tx")
        return self
