"""ipvlan: a device that shares the hardware address of the wire's end; its IP address tells it apart (mode l2)."""

from __future__ import annotations

from struct import pack

from harness.spec.links.base import Overlay

KIND = Overlay("ipvlan", device="ipvlan", joined="names", data={1: pack("=H", 0)}, mac="wire's", napi=True)
