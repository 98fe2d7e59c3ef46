"""Starts QEMU so that it ends with us, and says how long to be patient with what it runs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence

from harness import loadgen
from harness.kernel.journal import open_journal
from harness.kernel.proc import start_ticks, waited_s
from harness.places.vm.seats import Seat
from harness.run.process import ChildProcess, launch_options
from harness.signals import Stopper

BOOT_S = {"kvm": 20.0, "tcg-virtual": 240.0, "tcg-smoke": 120.0}
"""Real seconds until a guest is up, by accelerator."""


@contextlib.contextmanager
def launched(
    argv: Sequence[str], accelerator: str, seat: Seat, stopper: Stopper, pass_fds: tuple[int, ...] = ()
) -> Iterator[ChildProcess]:
    """A QEMU for the block, in model time on the CPU of this seat. Raises PollbenchError.

    The launcher asks the kernel to kill it when this thread ends, or all of us, however that comes.
    """
    place = {"cpus": [seat.cpu()]} if accelerator == "tcg-virtual" else {}
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
