"""A program that runs a stranger's: within limits of time, memory and output, and it ends what that leaves.

`python keeper.py SECONDS BYTES [apart PATH...] -- COMMAND...`: exits as the command does, or with LATE. `apart`: the
command runs as nobody, without a network, and can get no more than that. Where nobody may not read one of the paths, it
may read every file. Needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
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
_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_SET_SECUREBITS, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = (
    1,
    8,
    28,
    36,
    38,
)
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _SECURE_NOROOT = 47, 2, 3
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_NOBODY, _CAPABILITY_VERSION, _CAP_DAC_READ_SEARCH = 65534, 0x20080522, 2
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
    cut = words.index("--")
    (seconds, size, *apart), command = words[:cut], words[cut + 1 :]
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, _leave)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (int(size), int(size)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_OUTPUT_BYTES, _OUTPUT_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if apart:
            _leave_all(apart[1:])

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


def _leave_all(paths: Sequence[str]) -> None:
    """Become nobody, in a network of one's own that leads nowhere; of a user's rights, those that he has stay."""
    if os.geteuid() != 0:
        uid, gid = os.geteuid(), os.getegid()
        # Where users may not make namespaces, the network stays.
        if _unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
            for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
                with contextlib.suppress(OSError), open(f"/proc/self/{name}", "w") as file:
                    file.write(text)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        return
    _unshare(_CLONE_NEWNET)
    _prctl(_PR_SET_KEEPCAPS, 1)
    try:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError:
        # Root of a namespace that has no nobody: it stays who it is, and what it starts has no capability.
        _prctl(_PR_SET_SECUREBITS, _SECURE_NOROOT)
    if all(os.access(path, os.R_OK) for path in paths) or not _capset(1 << _CAP_DAC_READ_SEARCH):
        _capset(0)
    else:
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH)
    # Without it, a uid of 0 would get back by the next exec what has just been given up.
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _unshare(flags: int) -> bool:
    try:
        return ctypes.CDLL(None).unshare(ctypes.c_int(flags)) == 0
    except AttributeError:
        return False


def _capset(mask: int) -> bool:
    """Exactly these capabilities, of the first 32, for this process and what it starts; False: it lacks one of them."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    return ctypes.CDLL(None).capset(header, struct.pack("=6I", mask, mask, mask, 0, 0, 0)) == 0


def _prctl(option: int, value: int, more: int = 0) -> None:
    """prctl(2); where there is none, orphans are init's."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(ctypes.c_int(option), ctypes.c_ulong(value), ctypes.c_ulong(more), 0, 0)


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
