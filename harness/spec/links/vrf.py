"""vrf: a routing table of its own for the wire's end, which keeps the link's address."""

from __future__ import annotations

from harness.spec.links.base import Overlay, Part

KIND = Overlay("vrf", device="vrf", joined="port", data={1: Part.NUMBER}, routes=True, napi=True)
