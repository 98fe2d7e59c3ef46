"""A CPU as one's own: a lock on the CPU's directory of sysfs, which leaves no file and ends with its holder."""

from __future__ import annotations

import fcntl
import os
from typing import Self

from harness.kernel.filelock import lock_now

_DIRECTORY = "/sys/devices/system/cpu/cpu{}"


class CpuLock:
    """One CPU, reserved among all processes that ask here, of whatever user, until `release` or our end.

    Nothing is enforced: programs that do not ask may run on it. In a container with a sysfs of its own nobody outside
    sees the lock.
    """

    def __init__(self, cpu: int, fd: int) -> None:
        self.cpu, self._fd = cpu, fd

    @classmethod
    def take(cls, cpu: int) -> Self | None:
        """Reserve a CPU; None where another has it, or where this kernel shows none to lock."""
        try:
            fd = os.open(_DIRECTORY.format(cpu), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if lock_now(fd, fcntl.LOCK_EX):
                return cls(cpu, fd)
        except OSError:
            pass
        os.close(fd)
        return None

    def release(self) -> None:
        """Let others have it; once."""
        os.close(self._fd)
