"""A network namespace's own /sys, read and written without entering a mount namespace."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.kernel import syscalls
from harness.kernel.netns import in_netns


class NetSysfs:
    """The sysfs of one network namespace (descriptor, path or name); paths are as "class/net/eth0/mtu".

    setns() alone does not do: /sys shows the namespace it was mounted from. Raises OSError: EPERM without
    root, ENOSYS before Linux 5.2. Close it (or use `with`): it keeps the namespace alive.
    """

    def __init__(self, netns: int | str | Path) -> None:
        with in_netns(netns):
            self._root = syscalls.mount_sysfs()

    def read(self, path: str) -> str:
        """The file's text, stripped. Raises OSError."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._root)
        try:
            return os.read(fd, 65536).decode().strip()
        finally:
            os.close(fd)

    def write(self, path: str, value: int | str) -> None:
        """Write in one write(2). Raises OSError with the kernel's errno and the path."""
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._root)
        try:
            os.write(fd, str(value).encode())
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from None
        finally:
            os.close(fd)

    def list(self, path: str) -> list[str]:
        """The names in a directory, sorted. Raises OSError."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._root)
        try:
            return sorted(os.listdir(fd))
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let go of the namespace. Twice is fine."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
