"""A program that runs a stranger's: within limits of time, memory and output, and it ends what that leaves.

`python keeper.py SECONDS BYTES -- COMMAND...`: exits as the command does, or with LATE. Needs the standard library
alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

LATE = 124
"""Exit code of a command that was ended because its time was over."""
MOST_BYTES = 4 << 30
"""Address space of a stranger's program: what a scientific library reserves on many CPUs, and no more."""
_OUTPUT_BYTES = 256 << 20
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LAST_S = 5.0


def kept(command: Sequence[str], seconds: float, size: int = MOST_BYTES) -> list[str]:
    """The command line that has `command` kept: it may take so many seconds and bytes of memory.

    Whoever ends it sends SIGTERM, and not SIGKILL: it then ends all that the command has started.
    """
    return [sys.executable, "-I", "-S", __file__, f"{seconds:g}", str(size), "--", *command]


class _Told(BaseException):
    """Whoever started us has gone, or wants us to."""


def main(words: Sequence[str]) -> int:
    """Run the command; afterwards nothing that descends from it is left, whatever session it is in."""
    seconds, size, _, *command = words
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, _leave)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (int(size), int(size)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_OUTPUT_BYTES, _OUTPUT_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    try:
        # Nothing else runs in this process, so that code between fork and exec is safe.
        child = subprocess.Popen(command, close_fds=False, preexec_fn=limited)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        return 127
    try:
        code = child.wait(float(seconds))
    except (subprocess.TimeoutExpired, _Told):
        return LATE
    finally:
        child.kill()
        _end_all()
    return code if code >= 0 else 128 - code


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise _Told


def _prctl(option: int, value: int) -> None:
    """prctl(2) with one argument; where there is none, orphans are init's."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(ctypes.c_int(option), ctypes.c_ulong(value), 0, 0, 0)


def _end_all() -> None:
    """Kill the children, and their children, who become ours as they are orphaned, until there are none."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    deadline = time.monotonic() + _LAST_S
    while time.monotonic() < deadline:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.005)
        except ChildProcessError:
            return


def _children() -> list[int]:
    """The processes whose parent we are; none of them can have been reaped, so that no number has changed hands."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
