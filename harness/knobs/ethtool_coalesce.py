"""Hardware interrupt coalescing: the fields of `ethtool -C`, where the driver has them."""

from __future__ import annotations

from pydantic import Field

from harness.knobs.base import Knob, Setting
from harness.units import Count, OnOff

_U32 = 2**32 - 1


class EthtoolCoalesce(Knob):
    """Fields of `ethtool -C`. Source: ethtool(8), struct ethtool_coalesce. A veth driver has none of them.

    Adaptive modes are written first: a driver in adaptive mode overwrites the fixed values.
    """

    name = "ethtool_coalesce"
    scope = "device"
    phase = "timers"
    needs = ("ethtool-coalesce",)

    adaptive_rx: OnOff | None = Field(None, alias="adaptive-rx", description="let the driver choose for receive")
    adaptive_tx: OnOff | None = Field(None, alias="adaptive-tx", description="let the driver choose for transmit")
    rx_usecs: Count | None = Field(
        None, alias="rx-usecs", ge=0, le=_U32, description="us from a packet to its interrupt"
    )
    rx_frames: Count | None = Field(
        None, alias="rx-frames", ge=0, le=_U32, description="packets that force an interrupt"
    )
    tx_usecs: Count | None = Field(
        None, alias="tx-usecs", ge=0, le=_U32, description="the same for transmit completions"
    )
    tx_frames: Count | None = Field(
        None, alias="tx-frames", ge=0, le=_U32, description="the same for transmit completions"
    )

    def settings(self) -> list[Setting]:
        """The declared fields under ethtool's own names."""
        fields = type(self).model_fields
        pairs = ((fields[key].alias or key, getattr(self, key)) for key in fields)
        return [Setting("ethtool_coalesce", name, int(value)) for name, value in pairs if value is not None]
