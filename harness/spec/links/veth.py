"""veth: the pair of virtual devices that containers have."""

from __future__ import annotations

from harness.spec.links.base import DevicePair

KIND = DevicePair("veth", device="veth", peer=1, napi=True)
