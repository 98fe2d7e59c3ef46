"""Hardware interrupt coalescing: the fields of `ethtool -C`, where the driver has them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from harness.knobs.base import Knob, KnobEffect, Seen, Setting
from harness.units import Count, OnOff

# The device's own clock, and rx-usecs of a driver that counts in steps, may be off by so much.
_KEPT = 0.5
_U32 = Annotated[Count, Field(ge=0, le=2**32 - 1)]


class EthtoolCoalesce(Knob):
    """Fields of `ethtool -C`. Source: ethtool(8), struct ethtool_coalesce. A veth driver has none of them.

    Adaptive modes are written first: a driver in adaptive mode overwrites the fixed values.
    """

    name = "ethtool_coalesce"
    scope = "device"
    phase = "timers"
    target = "ethtool_coalesce"
    needs = ("ethtool-coalesce",)

    adaptive_rx: OnOff | None = Field(None, alias="adaptive-rx", description="let the driver choose for receive")
    adaptive_tx: OnOff | None = Field(None, alias="adaptive-tx", description="let the driver choose for transmit")
    rx_usecs: _U32 | None = Field(None, alias="rx-usecs", description="us from a packet to its interrupt")
    rx_frames: _U32 | None = Field(None, alias="rx-frames", description="packets that force an interrupt")
    tx_usecs: _U32 | None = Field(None, alias="tx-usecs", description="the same for transmit completions")
    tx_frames: _U32 | None = Field(None, alias="tx-frames", description="the same for transmit completions")

    def settings(self) -> list[Setting]:
        """The declared fields under ethtool's own names, as the numbers that the kernel takes."""
        return [replace(setting, value=int(setting.value)) for setting in super().settings()]

    def effect(self, seen: Seen) -> KnobEffect:
        """How far apart interrupts came: nearer than was asked is no effect; farther may be for want of packets."""
        if not (self.rx_usecs and seen.rx_irqs):
            return super().effect(seen)
        apart_us = seen.elapsed_us / seen.rx_irqs
        text = f"interrupts of the rx line came {apart_us:.0f} us apart in the mean, rx-usecs is {self.rx_usecs}"
        if apart_us < _KEPT * self.rx_usecs:
            return KnobEffect(False, f"{text}: the driver took the value and does not keep it")
        return KnobEffect(None, f"{text}; no counter shows how far apart they would have come without it")
