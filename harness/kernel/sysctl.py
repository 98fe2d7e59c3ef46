"""Read and write sysctls by their dotted or slashed name, in the calling thread's network namespace."""

from __future__ import annotations

from harness.kernel.hostfiles import HOST


def path_of(name: str) -> str:
    """The file of a sysctl: "net.core.busy_read" or "net/ipv4/conf/eth0.1/rp_filter" (slashes: dots stay)."""
    return f"/proc/sys/{name if '/' in name else name.replace('.', '/')}"


def read(name: str) -> str:
    """The value, stripped. Raises OSError (ENOENT: not on this kernel, or not per network namespace)."""
    return HOST.read(path_of(name))


def write(name: str, value: int | str) -> None:
    """Set the value. Raises OSError with the kernel's own errno (EINVAL for a refused value)."""
    HOST.write(path_of(name), value)
