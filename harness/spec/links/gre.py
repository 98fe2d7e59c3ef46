"""gre: IP packets in IP packets, between the two ends of the wire."""

from __future__ import annotations

from harness.spec.links.base import Overlay, Part

KIND = Overlay(
    "gre", device="gre", joined="tunnel", data={6: Part.LOCAL, 7: Part.REMOTE}, header_bytes=24, mac="none", napi=True
)
