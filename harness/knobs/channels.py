"""Channels: how many queues a NIC uses, as `ethtool -L` sets them."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from harness.knobs.base import Knob, KnobModel, Setting
from harness.units import Count


class ChannelsSettings(KnobModel):
    """Source: ethtool(8), Documentation/networking/scaling.rst, "RSS". Each channel has a NAPI of its own."""

    combined: Count | None = Field(None, ge=1, le=4096, description="queue pairs, each with one interrupt")
    rx: Count | None = Field(None, ge=1, le=4096, description="receive queues (veth has these)")
    tx: Count | None = Field(None, ge=1, le=4096, description="transmit queues (veth has these)")

    @model_validator(mode="after")
    def _sets_something(self) -> ChannelsSettings:
        if self.combined is None and self.rx is None and self.tx is None:
            raise ValueError("nothing is set; expected combined, rx or tx")
        return self


class Channels(Knob):
    """Written before all else: it makes queues, NAPIs and interrupts anew, and a NIC's link goes down and up."""

    name = "channels"
    scope = "device"
    Model = ChannelsSettings

    @classmethod
    def settings(cls, model: Any) -> list[Setting]:
        """The declared counts under ethtool's own names."""
        pairs = ((kind, getattr(model, kind)) for kind in ChannelsSettings.model_fields)
        return [Setting("channels", kind, count) for kind, count in pairs if count is not None]
