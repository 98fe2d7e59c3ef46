"""Starts QEMU so that it ends with us, and says how long to be patient with what it runs."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Iterator, Sequence

from harness import loadgen
from harness.kernel.journal import open_journal
from harness.kernel.proc import cpu_ticks, start_ticks, waited_s
from harness.run.process import ChildProcess, launch_options
from harness.signals import Stopper

BOOT_S = {"kvm": 20.0, "tcg-virtual": 240.0, "tcg-smoke": 120.0}
"""Real seconds until a guest is up, by accelerator."""
_IDLE_S = 0.2


@contextlib.contextmanager
def launched(
    argv: Sequence[str], accelerator: str, stopper: Stopper, pass_fds: tuple[int, ...] = ()
) -> Iterator[ChildProcess]:
    """A QEMU for the block. Raises PollbenchError.

    The launcher asks the kernel to kill it when we die, however we die.
    """
    place = {"cpus": [_idlest_cpu()]} if accelerator == "tcg-virtual" else {}
    whole = [str(loadgen.path()), *launch_options(None, place), "exec", "--", *argv]
    with contextlib.ExitStack() as stack:
        # What root starts is noted besides, for `pollbench clean`.
        journal = stack.enter_context(open_journal()) if os.geteuid() == 0 else None
        child = stack.enter_context(ChildProcess("guest", whole, stopper, stdin=None, pass_fds=pass_fds))
        if journal is not None:
            journal.note("process", pid=child.pid, start_ticks=start_ticks(child.pid))
        yield child


def patient_s(child: ChildProcess) -> float:
    """A clock that stands while QEMU waits for a processor: on a saturated host a guest is slow, and does not hang."""
    return time.monotonic() - waited_s(child.pid)


def _idlest_cpu() -> int:
    """Of the CPUs that this process may use, the one that was idle most while we looked; any of several alike.

    A guest whose time is counted has a single one, so that no two threads of QEMU run at once: each timer of the guest
    wakes QEMU's main loop too, and on a CPU of its own that now and then gets in between the turns of the virtual CPUs;
    what follows is another chance. On one CPU it does so only where the scheduler changes over amid one.
    """
    allowed, before = os.sched_getaffinity(0), cpu_ticks()
    time.sleep(_IDLE_S)
    after = cpu_ticks()
    idle = {cpu: after[cpu]["idle"] - before[cpu]["idle"] for cpu in allowed & before.keys() & after.keys()}
    return max(allowed, key=lambda cpu: (idle.get(cpu, 0), random.random()))
