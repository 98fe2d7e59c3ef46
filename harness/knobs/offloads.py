"""GRO, LRO, TSO, GSO and the other features of `ethtool -K`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from harness.knobs.base import U31, Knob, KnobEffect, Seen, Setting
from harness.units import Count, OnOff

_IPV4_SIZES = ("gso_ipv4_max_size", "gro_ipv4_max_size")
_SIZES = ("gso_max_segs", "gso_max_size", "gro_max_size", *_IPV4_SIZES)


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
    gro: OnOff | None = Field(
        None, description="generic receive offload; a veth has a NAPI only with it, or with native XDP"
    )
    lro: OnOff | None = Field(None, description="large receive offload")
    rx_gro_hw: OnOff | None = Field(None, alias="rx-gro-hw", description="GRO done by the device")
    rx_gro_list: OnOff | None = Field(None, alias="rx-gro-list", description="GRO by chaining packets")
    rx_udp_gro_forwarding: OnOff | None = Field(
        None, alias="rx-udp-gro-forwarding", description="GRO of forwarded UDP; holds UDP packets while busy polling"
    )
    tx_udp_segmentation: OnOff | None = Field(None, alias="tx-udp-segmentation", description="UDP segmentation offload")
    gso_max_segs: Annotated[Count, Field(ge=1, le=65535)] | None = Field(
        None,
        description="segments of a packet that is sent; 1: a queueing discipline delays and drops single frames, "
        "which tso and gso off do not do for TCP",
    )
    gso_max_size: U31 | None = Field(None, description="bytes of a packet that is sent before it is cut, 1514 or more")
    gro_max_size: U31 | None = Field(
        None, description="bytes to which GRO may join what is received (BIG TCP: > 65536, of IPv6 alone)"
    )
    gso_ipv4_max_size: U31 | None = Field(None, description="the same of what is sent by IPv4 (BIG TCP: > 65536)")
    gro_ipv4_max_size: U31 | None = Field(None, description="the same of what is received by IPv4")

    def settings(self) -> list[Setting]:
        """Features first, then the sizes, which some of them reset."""
        settings = super().settings()
        features = [one for one in settings if one.name not in _SIZES]
        return features + [replace(one, target="link_size") for one in settings if one.name in _SIZES]

    def effect(self, seen: Seen) -> KnobEffect:
        """Unknown: no counter tells what an offload did."""
        text = "read back as requested; no counter shows whether an offload acted"
        if self.tso is not None and seen.protocol == "udp":
            text += "; TSO cuts TCP segments, and the traffic was UDP"
        return KnobEffect(None, text)

    def capabilities(self) -> tuple[str, ...]:
        """Every feature that is to be switched on, and the sizes where one is set."""
        settings = self.settings()
        features = [f"feature:{one.name}" for one in settings if one.target == "feature" and one.value]
        sizes = {"ipv4-sizes" if one.name in _IPV4_SIZES else "link-sizes" for one in settings if one.name in _SIZES}
        return (*features, *sorted(sizes))
