"""GRO, LRO, TSO, GSO and the other features of `ethtool -K`."""

from __future__ import annotations

from pydantic import Field

from harness.knobs.base import Knob, KnobEffect, Seen
from harness.units import OnOff


class Offloads(Knob):
    """Features by ethtool's short names. Source: ethtool(8), Documentation/networking/segmentation-offloads.rst.

    Written after the datapath's own features, so that a case may break its NAPI on purpose (and is told so).
    """

    name = "offloads"
    scope = "device"
    phase = "features"
    target = "feature"

    rx: OnOff | None = Field(None, description="receive checksum offload")
    tx: OnOff | None = Field(None, description="transmit checksum offload")
    sg: OnOff | None = Field(None, description="scatter-gather")
    tso: OnOff | None = Field(
        None, description="TCP segmentation offload; on at the sender, it keeps a veth off its NAPI"
    )
    gso: OnOff | None = Field(None, description="generic segmentation offload")
    gro: OnOff | None = Field(None, description="generic receive offload; a veth has a NAPI only with it")
    lro: OnOff | None = Field(None, description="large receive offload")
    rx_gro_hw: OnOff | None = Field(None, alias="rx-gro-hw", description="GRO done by the device")
    rx_gro_list: OnOff | None = Field(None, alias="rx-gro-list", description="GRO by chaining packets")
    rx_udp_gro_forwarding: OnOff | None = Field(
        None, alias="rx-udp-gro-forwarding", description="GRO of forwarded UDP; holds UDP packets while busy polling"
    )
    tx_udp_segmentation: OnOff | None = Field(None, alias="tx-udp-segmentation", description="UDP segmentation offload")

    def effect(self, seen: Seen) -> KnobEffect:
        """Unknown: no counter tells what an offload did."""
        text = "read back as requested; no counter shows whether an offload acted"
        if self.tso is not None and seen.protocol == "udp":
            text += "; TSO cuts TCP segments, and the traffic was UDP"
        return KnobEffect(None, text)

    def capabilities(self) -> tuple[str, ...]:
        """Every feature that is to be switched on."""
        return tuple(f"feature:{setting.name}" for setting in self.settings() if setting.value)
