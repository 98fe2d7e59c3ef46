"""The host's CPU for a guest whose time is counted: a single one, so that no two threads of QEMU run at once.

Each timer of the guest wakes QEMU's main loop too. On a CPU of its own it now and then gets in between the turns of the
virtual CPUs, and what follows is another chance. On one CPU it does so only where the scheduler changes over amid one.
"""

from __future__ import annotations

import os
import random
import time

from harness.kernel.proc import cpu_ticks

_LOOK_S = 0.2


def idlest_cpu() -> int:
    """Of the CPUs that this process may use, the one that was idle most while we looked; any of several alike."""
    allowed, before = os.sched_getaffinity(0), cpu_ticks()
    time.sleep(_LOOK_S)
    after = cpu_ticks()
    idle = {cpu: after[cpu]["idle"] - before[cpu]["idle"] for cpu in allowed & before.keys() & after.keys()}
    most = max(idle.values(), default=0)
    return random.choice([cpu for cpu in allowed if idle.get(cpu, 0) == most])
