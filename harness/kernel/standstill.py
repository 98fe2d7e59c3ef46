"""In a guest that is to be saved: stops the whole machine at an exact instruction, and draws chance anew after it."""

from __future__ import annotations

import fcntl
import os

from harness.kernel.hostfiles import HOST
from harness.kernel.syscalls import held

ASKED = "pollbench.snapshot"
"""On the kernel's command line: stop when all is loaded, before the job is read."""
_PORTS, _PANIC_PORT, _PANICKED = "/dev/port", 0x505, b"\1"
_RANDOM, _RNDRESEEDCRNG = "/dev/urandom", 0x5207


def asked() -> bool:
    """Is this machine to stop before it reads its job?"""
    return ASKED in (HOST.text("/proc/cmdline") or "").split()


def stop_machine() -> None:
    """Stop all CPUs with this instruction; it returns in a machine that was resumed, perhaps days later. OSError.

    The port is QEMU's pvpanic device, which QEMU is told to take for a wish to pause.
    """
    with held(os.open(_PORTS, os.O_WRONLY | os.O_CLOEXEC)) as ports:
        os.pwrite(ports, _PANICKED, _PANIC_PORT)


def draw_anew(seed: str) -> None:
    """Give the kernel's random numbers a new start: all machines resumed from one snapshot have the same. OSError."""
    with held(os.open(_RANDOM, os.O_WRONLY | os.O_CLOEXEC)) as pool:
        os.write(pool, seed.encode())
        fcntl.ioctl(pool, _RNDRESEEDCRNG)
