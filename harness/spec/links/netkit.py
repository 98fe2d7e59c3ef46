"""netkit: the pair of virtual devices that a BPF datapath may have in place of veth; without a NAPI (mode l2)."""

from __future__ import annotations

from harness.spec.links.base import DevicePair

KIND = DevicePair("netkit", device="netkit", peer=1, options={5: 0})
