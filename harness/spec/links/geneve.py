"""geneve: Ethernet frames in UDP as vxlan, in the format of OVN and of newer overlay networks."""

from __future__ import annotations

from struct import pack

from harness.spec.links.base import Overlay, Part

# VNI, the other end, port.
_DATA = {1: Part.NUMBER, 2: Part.REMOTE, 5: pack("!H", 6081)}
KIND = Overlay(
    "geneve", device="geneve", joined="tunnel", data=_DATA, header_bytes=50, udp=True, napi=True, frames=True
)
