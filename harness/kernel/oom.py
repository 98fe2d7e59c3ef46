"""Short memory: have the kernel end a program rather than evict and reread pages for minutes (thrashing)."""

from __future__ import annotations

import contextlib

from harness.kernel.hostfiles import HOST

_LEAST_LIFE_MS = 1000


def is_out_of_memory() -> None:
    """Count as out of memory when pages are evicted that were used within a second.

    Linux 6.1 with multi-generational LRU can; elsewhere this does nothing.
    """
    with contextlib.suppress(OSError):
        HOST.write("/sys/kernel/mm/lru_gen/min_ttl_ms", _LEAST_LIFE_MS)
