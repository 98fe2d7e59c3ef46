"""The few Linux system calls that Python 3.11 does not offer, each raising OSError with its errno."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator
from functools import cache

CLONE_NEWNS = 0x20000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE, MS_SHARED = 1 << 19, 1 << 20
_MNT_DETACH = 2

# Numbers from 424 on are the same on every architecture (except alpha): one table for all system calls since 2019.
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_IO_URING_SETUP, _IO_URING_ENTER, _IO_URING_REGISTER, _PIDFD_GETFD = 425, 426, 427, 438
_BPF = {"x86_64": 321, "aarch64": 280}
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_PERF_SOFTWARE, _PERF_TASK_CLOCK, _PERF_INHERIT, _PERF_CLOEXEC = 1, 1, 2, 8
_PERF_ATTR_BYTES = 64
_BPF_ATTR_BYTES = 128
_FSCONFIG_CMD_CREATE = 6
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 1


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, name: str, subject: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}", subject)
    return result


@contextlib.contextmanager
def held(fd: int) -> Iterator[int]:
    """A descriptor for the block, closed at its end."""
    try:
        yield fd
    finally:
        os.close(fd)


def unshare(flags: int) -> None:
    """Give the calling thread (only it) fresh namespaces."""
    _check(_libc().unshare(ctypes.c_int(flags)), "unshare")


def setns(fd: int, flags: int = CLONE_NEWNET) -> None:
    """Move the calling thread (only it) into the namespace behind `fd`."""
    _check(_libc().setns(ctypes.c_int(fd), ctypes.c_int(flags)), "setns")


def mount(source: str, target: str, fstype: str, flags: int) -> None:
    """mount(2) without data."""
    done = _libc().mount(source.encode(), target.encode(), fstype.encode(), ctypes.c_ulong(flags), None)
    _check(done, "mount", target)


def umount(target: str) -> None:
    """umount2(2), detaching: a busy mount point leaves the tree at once."""
    _check(_libc().umount2(target.encode(), ctypes.c_int(_MNT_DETACH)), "umount", target)


def mount_detached(kind: str) -> int:
    """A directory descriptor of a pseudo file system ("sysfs", of the calling thread's network namespace; "proc"...).

    It is mounted nowhere (no path, no mount namespace, nothing to unmount): it lives as long as the descriptor. Raises
    OSError: ENODEV where the kernel lacks it, EPERM without CAP_SYS_ADMIN, ENOSYS before Linux 5.2.
    """
    call = _libc().syscall
    with held(_check(call(_FSOPEN, kind.encode(), _FSOPEN_CLOEXEC), "fsopen", kind)) as context:
        _check(call(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0), "fsconfig", kind)
        return _check(call(_FSMOUNT, context, _FSMOUNT_CLOEXEC, 0), "fsmount", kind)


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """A duplicate of descriptor `fd` of the process behind `pidfd`, close-on-exec; the caller closes it.

    Raises OSError: EPERM unless we could trace the process, ENOSYS before Linux 5.6, EBADF.
    """
    return _check(_libc().syscall(_PIDFD_GETFD, pidfd, fd, 0), "pidfd_getfd")


def task_clock(tid: int) -> int:
    """A descriptor of a performance event: reading its 8 bytes gives the ns for which a thread had a CPU since now.

    What the thread starts from now on is in it. Raises OSError: ESRCH, EACCES, ENOSYS, also on other machines.
    """
    number = _number(_PERF_EVENT_OPEN, "perf_event_open")
    # type, size, config, period, sample_type, read_format, flags, and what the kernel fills with zeros.
    head = struct.pack("=IIQQQQQ", _PERF_SOFTWARE, _PERF_ATTR_BYTES, _PERF_TASK_CLOCK, 0, 0, 0, _PERF_INHERIT)
    attributes = ctypes.create_string_buffer(head, _PERF_ATTR_BYTES)
    event = _libc().syscall(number, attributes, tid, -1, -1, ctypes.c_ulong(_PERF_CLOEXEC))
    return _check(event, "perf_event_open", f"thread {tid}")


def _number(by_machine: dict[str, int], name: str) -> int:
    if (number := by_machine.get(platform.machine())) is None:
        raise OSError(errno.ENOSYS, f"no number of {name}(2) is known on {platform.machine()}")
    return number


def bpf(command: int, attributes: bytes) -> int:
    """bpf(2); what it returns, often a descriptor. Raises OSError: EPERM, ENOSYS on other machines."""
    held_attributes = ctypes.create_string_buffer(attributes, _BPF_ATTR_BYTES)
    return _check(_libc().syscall(_number(_BPF, "bpf"), command, held_attributes, _BPF_ATTR_BYTES), "bpf")


def bind(fd: int, address: bytes) -> None:
    """bind(2) to an address of a family that Python's sockets do not know."""
    _check(_libc().bind(fd, address, len(address)), "bind")


def io_uring_setup(entries: int, parameters: ctypes.Array[ctypes.c_char]) -> int:
    """A descriptor of a new io_uring; the kernel writes where its rings are into the parameters."""
    return _check(_libc().syscall(_IO_URING_SETUP, entries, parameters), "io_uring_setup")


def io_uring_register(fd: int, operation: int, argument: ctypes.Array[ctypes.c_char], count: int) -> None:
    """Register something with an io_uring."""
    _check(_libc().syscall(_IO_URING_REGISTER, fd, operation, argument, count), "io_uring_register")


def io_uring_enter(fd: int, submit: int, least: int, flags: int, how: ctypes.Array[ctypes.c_char], size: int) -> None:
    """Submit requests, and wait for so many completions."""
    call = _libc().syscall
    _check(call(_IO_URING_ENTER, fd, submit, least, flags, how, ctypes.c_size_t(size)), "io_uring_enter")
