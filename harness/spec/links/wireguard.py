"""wireguard: IP packets encrypted in UDP; threads of the kernel decrypt what the wire brings, and its NAPI is lost."""

from __future__ import annotations

from harness.spec.links.base import Overlay

KIND = Overlay("wireguard", device="wireguard", joined="tunnel", header_bytes=60, udp=True, mac="none", keys=True)
