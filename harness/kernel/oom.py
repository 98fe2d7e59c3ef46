"""Thrashing: memory so short that what programs run on is evicted and read again, for minutes, without an end."""

from __future__ import annotations

import contextlib

from harness.kernel import sysctl

_LEAST_LIFE = "/sys/kernel/mm/lru_gen/min_ttl_ms"
_LEAST_LIFE_MS = 1000


def is_out_of_memory() -> None:
    """Have the kernel take it for being out of memory, where it can (Linux 6.1 with multi-generational LRU)."""
    with contextlib.suppress(OSError):
        sysctl.write_file(_LEAST_LIFE, _LEAST_LIFE_MS)
