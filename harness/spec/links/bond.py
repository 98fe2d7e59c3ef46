"""bond: a bond (active-backup) of one device, the wire's end."""

from __future__ import annotations

from struct import pack

from harness.spec.links.base import Overlay

KIND = Overlay(
    "bond",
    device="bond",
    joined="port",
    data={1: pack("=B", 1), 3: pack("=I", 100)},
    mac="wire's",
    napi=True,
    frames=True,
)
