"""vxlan: Ethernet frames in UDP between the two ends of the wire, as overlay networks of containers have it."""

from __future__ import annotations

from struct import pack

from harness.spec.links.base import Overlay, Part

# VNI, the other end, this end, no learning of addresses, port.
_DATA = {1: Part.NUMBER, 2: Part.REMOTE, 4: Part.LOCAL, 7: b"\0", 15: pack("!H", 4789)}
KIND = Overlay("vxlan", device="vxlan", joined="tunnel", data=_DATA, header_bytes=50, udp=True, napi=True, frames=True)
