"""vmxnet3: the paravirtual NIC of VMware, as QEMU emulates it; what is sent to an address given earlier, it drops."""

from __future__ import annotations

from harness.spec.links.base import EmulatedNic

KIND = EmulatedNic("vmxnet3", number=3, module="vmxnet3", device="vmxnet3", address_when_up=True)
