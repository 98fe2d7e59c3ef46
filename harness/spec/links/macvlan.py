"""macvlan: a device with a hardware address of its own on top of a wire's end, in bridge mode."""

from __future__ import annotations

from struct import pack

from harness.spec.links.base import Overlay

KIND = Overlay("macvlan", device="macvlan", joined="names", data={1: pack("=I", 4)}, napi=True)
