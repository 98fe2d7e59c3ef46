"""igb: Intel 82576, as QEMU emulates it; several queues, each with an interrupt of its own."""

from __future__ import annotations

from harness.spec.links.base import EmulatedNic

KIND = EmulatedNic("igb", number=1, module="igb", device="igb", since=(8, 0))
