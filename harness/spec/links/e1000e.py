"""e1000e: Intel 82574L, as QEMU emulates it; one queue."""

from __future__ import annotations

from harness.spec.links.base import EmulatedNic

KIND = EmulatedNic("e1000e", number=0, module="e1000e", device="e1000e")
