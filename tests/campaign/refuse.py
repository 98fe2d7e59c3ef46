"""`python -m tests.campaign.refuse ERRNO CALL[:ARGUMENT]... -- COMMAND...`: seccomp answers these calls so.

A kernel that lacks a system call, or a container that forbids it, seen by COMMAND and all that it starts. ARGUMENT is
the value of the first argument that is meant; without it every call is.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

# x86-64: arch/x86/entry/syscalls/syscall_64.tbl.
CALLS = {
    "socket": 41,
    "mount": 165,
    "umount2": 166,
    "sched_setscheduler": 144,
    "sched_setaffinity": 203,
    "unshare": 272,
    "setns": 308,
    "pidfd_open": 434,
    "pidfd_send_signal": 424,
    "openat2": 437,
    "io_uring_setup": 425,
    "bpf": 321,
    "perf_event_open": 298,
    "flock": 73,
    "prctl": 157,
    "renameat2": 316,
    "prlimit64": 302,
    "getrandom": 318,
    "memfd_create": 319,
    "copy_file_range": 326,
    "statx": 332,
    "close_range": 436,
    "kcmp": 312,
    "inotify_init1": 294,
}
"""Calls that pollbench, its libraries or its programs could do without, or must explain the lack of."""
AF_NETLINK, AF_PACKET = 16, 17
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER_AT, _FIRST_ARGUMENT_AT = 0, 16
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def program(number: int, calls: list[tuple[int, int | None]]) -> bytes:
    """The classic BPF that answers calls (number, first argument or None) with an errno, and allows all others."""
    refused = (_RETURN, 0, 0, _ERRNO | number)
    code: list[tuple[int, int, int, int]] = []
    for call, argument in calls:
        code.append((_LOAD, 0, 0, _NUMBER_AT))
        if argument is None:
            code += [(_JUMP_EQUAL, 0, 1, call), refused]
        else:
            code += [(_JUMP_EQUAL, 0, 3, call), (_LOAD, 0, 0, _FIRST_ARGUMENT_AT)]
            code += [(_JUMP_EQUAL, 0, 1, argument), refused]
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in code)


def _install(filter_: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    whole = _Program(len(filter_) // 8, filter_)
    for words in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _FILTER, ctypes.byref(whole), 0, 0)):
        if libc.prctl(*words):
            raise OSError(ctypes.get_errno(), "seccomp")


def main(words: list[str]) -> None:
    """Install the filter and become the command."""
    split = words.index("--")
    pairs = (word.partition(":") for word in words[1:split])
    calls = [(CALLS[name], int(argument) if argument else None) for name, _, argument in pairs]
    _install(program(getattr(errno, words[0]), calls))
    os.execvp(words[split + 1], words[split + 1 :])


if __name__ == "__main__":
    main(sys.argv[1:])
