"""Hardware interrupt coalescing: the fields of `ethtool -C`, where the driver has them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harness.knobs.base import Knob, KnobModel, Setting
from harness.units import Count, OnOff

_U32 = 2**32 - 1


class EthtoolCoalesceSettings(KnobModel):
    """Fields of `ethtool -C`. Source: ethtool(8), struct ethtool_coalesce. A veth driver has none of them."""

    adaptive_rx: OnOff | None = Field(
        None, alias="adaptive-rx", description="let the driver choose for receive"
    )
    adaptive_tx: OnOff | None = Field(
        None, alias="adaptive-tx", description="let the driver choose for transmit"
    )
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


class EthtoolCoalesce(Knob):
    """Adaptive modes are written first: a driver in adaptive mode overwrites the fixed values."""

    name = "ethtool_coalesce"
    scope = "device"
    Model = EthtoolCoalesceSettings

    @classmethod
    def capabilities(cls, model: Any) -> tuple[str, ...]:
        """A driver that has coalescing parameters: veth has none."""
        return ("ethtool-coalesce",)

    @classmethod
    def settings(cls, model: Any) -> list[Setting]:
        """The declared fields under ethtool's own names."""
        fields = EthtoolCoalesceSettings.model_fields
        pairs = ((fields[key].alias or key, getattr(model, key)) for key in fields)
        return [Setting("ethtool_coalesce", name, int(value)) for name, value in pairs if value is not None]
