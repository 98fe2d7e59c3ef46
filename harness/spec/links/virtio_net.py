"""virtio-net: the paravirtual NIC of QEMU, without an offload to its host."""

from __future__ import annotations

from harness.spec.links.base import EmulatedNic

KIND = EmulatedNic("virtio-net", number=2, module="virtio_net", device="virtio-net-pci")
