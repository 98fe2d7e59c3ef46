"""What the host says of virtualisation: the boot's own name, and whether KVM is there at all."""

from __future__ import annotations

import os

from harness.kernel.hostfiles import HOST

_KVM = "/dev/kvm"


def boot_id() -> str:
    """A name for this boot of the host; empty where the kernel does not say."""
    return HOST.text("/proc/sys/kernel/random/boot_id") or ""


def kvm_openable() -> bool:
    """Can this user open /dev/kvm? (That it opens says nothing of whether it works.)"""
    return os.access(_KVM, os.R_OK | os.W_OK)


def kvm_module() -> str:
    """The module behind KVM, such as kvm_intel or kvm_pvm; empty where none is loaded."""
    names = [name for name in HOST.names("/sys/module") if name.startswith("kvm_")]
    return "+".join(sorted(names))
