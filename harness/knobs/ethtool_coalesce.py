"""Hardware interrupt coalescing: the fields of `ethtool -C`, where the driver has them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from harness.knobs.base import Knob, Setting
from harness.units import Count, OnOff

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
